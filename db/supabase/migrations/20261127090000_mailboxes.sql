-- Mailboxes that the daemon watches: who watches each, how far it has come, and how it gets in.

-- One row per account of the configuration, for ever: the row is the lease. Whoever holds it has "owner" and an
-- "epoch" that no earlier holder had; a mail is recorded only in a transaction that saw both in a row still leased
-- (for share, so that nobody takes over meanwhile). So a daemon that was paused past its lease can do no harm.
-- All times are the database's, since daemons' clocks differ.
create table intake.mailboxes (
  account text primary key,
  owner text not null,          -- host, process, and a word of chance
  epoch bigint not null default 1,
  leased_until timestamptz not null,
  state text not null default '',  -- in words, for the operator
  looked_at timestamptz         -- when its mails were last looked through to the end
);

-- How far a folder has been taken in, for each numbering the server has given it: UIDs mean nothing across
-- UIDVALIDITY (RFC 3501, 2.3.1.1). What is below first_uid was there before us and stays untouched; what is above
-- is done when intake.arrivals has it. When a folder is numbered anew, only dates can tell what was there before us:
-- then what the server received before "since" is none of ours.
create table intake.folders (
  account text not null,
  folder text not null,
  uidvalidity bigint not null,
  first_uid bigint not null,
  contact_at timestamptz not null default now(),  -- the folder's first, under whichever numbering
  since timestamptz,
  -- UIDs handed to readers and not heard of since; read one at a time after a start. The one that is read alone,
  -- and how often the whole service was gone before it was done.
  unfinished bigint[] not null default '{}',
  alone_uid bigint,
  alone_times int not null default 0,
  primary key (account, folder, uidvalidity)
);

-- What an account gets its access tokens with (RFC 6749, 1.5), sealed with a key that is not in the database. A
-- provider may take back the old token when it hands out a new one, so a row is replaced only by whoever read its
-- version, before the new token is used.
create table intake.tokens (
  account text primary key,
  version bigint not null default 1,
  sealed bytea not null,
  updated_at timestamptz not null default now()
);

-- A slot may be done though nobody has its mail: one beyond the size that is taken, or of which the server has no
-- bytes. Its arrival says why.
alter table intake.arrivals alter column mail_id drop not null;
alter table intake.arrivals add column reason text;

revoke all on intake.mailboxes, intake.folders, intake.tokens
  from public, anon, authenticated, service_role;
grant select, insert, update on intake.mailboxes, intake.folders, intake.tokens to specpost_daemon;

alter table intake.mailboxes enable row level security;
create policy "Daemon can read mailboxes" on intake.mailboxes
  for select to specpost_daemon using (true);
create policy "Daemon can insert mailboxes" on intake.mailboxes
  for insert to specpost_daemon with check (true);
create policy "Daemon can update mailboxes" on intake.mailboxes
  for update to specpost_daemon using (true) with check (true);

alter table intake.folders enable row level security;
create policy "Daemon can read folders" on intake.folders
  for select to specpost_daemon using (true);
create policy "Daemon can insert folders" on intake.folders
  for insert to specpost_daemon with check (true);
create policy "Daemon can update folders" on intake.folders
  for update to specpost_daemon using (true) with check (true);

alter table intake.tokens enable row level security;
create policy "Daemon can read tokens" on intake.tokens
  for select to specpost_daemon using (true);
create policy "Daemon can insert tokens" on intake.tokens
  for insert to specpost_daemon with check (true);
create policy "Daemon can update tokens" on intake.tokens
  for update to specpost_daemon using (true) with check (true);
