-- What happens after a mail was recorded and may fail apart from it, and what an operator decides about held mail.

-- A job is written by the transaction that makes it necessary, so neither is there without the other. Its id is made
-- out of the mail and the kind: to ask for the same twice is to ask once. Whoever takes a job puts due_at off by its
-- lease and raises epoch; the end of a job is written only under the epoch it was taken with. So a daemon that was
-- paused past its lease and woke up writes nothing, and one that died is replaced when its lease is over. All times
-- are the database's, since daemons' clocks differ.
create table intake.jobs (
  id uuid primary key,
  kind text not null,           -- a row of the table in daemon/jobs.py
  mail_id uuid not null references intake.mails (id) on delete cascade,
  -- A dead one failed as often as its kind may; it stays for an operator to see and to have tried again.
  state text not null default 'waiting' check (state in ('waiting', 'done', 'dead')),
  attempts int not null default 0,
  due_at timestamptz not null default now(),
  epoch bigint not null default 0,
  owner text,                   -- who is at it; null when nobody is
  trouble text,                 -- what the last attempt failed of
  created_at timestamptz not null default now(),
  ended_at timestamptz
);

create index idx_jobs_due_at on intake.jobs (due_at) where state = 'waiting';
create index idx_jobs_mail_id on intake.jobs (mail_id);

-- A mail that was set aside and that an operator doesn't want. It isn't deleted: what came, and what became of it,
-- can always be told. When the same mail is set aside again, it is no longer dropped.
alter table intake.mails add column dropped_at timestamptz;
alter table intake.mails add column dropped_why text;

-- Who had logged in that brought a mail: what it may prove when the mail is read again.
alter table intake.arrivals add column login text;

revoke all on intake.jobs from public, anon, authenticated, service_role;
grant select, insert, update on intake.jobs to specpost_daemon;

alter table intake.jobs enable row level security;
create policy "Daemon can read jobs" on intake.jobs
  for select to specpost_daemon using (true);
create policy "Daemon can insert jobs" on intake.jobs
  for insert to specpost_daemon with check (true);
create policy "Daemon can update jobs" on intake.jobs
  for update to specpost_daemon using (true) with check (true);
