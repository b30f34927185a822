-- The daemon's own books: which mails came, how, what was in them and what became of each.
--
-- A schema that the API does not expose: senders' addresses and reasons for refusal are nobody else's business.

create schema intake;
revoke all on schema intake from public, anon, authenticated, service_role;
grant usage on schema intake to specpost_daemon;

-- The id is made by the daemon out of the mail's bytes, never by a default here: the primary key is what
-- makes a second delivery change nothing. An accepted mail has its content id, every other its raw id, so
-- that a refused look-alike can't stand in the real one's place; changing either rule re-admits every old mail.
create table intake.mails (
  id uuid primary key,
  raw_id uuid not null,         -- of the bytes as they came, with CRLF line ends
  content_id uuid,              -- of what a reader sees; null when it could not be read
  source text not null,         -- "smtp", "imap"
  sender text,                  -- null when there is any doubt
  message_id text,
  "references" text[] not null default '{}',
  subject text,
  sent_at timestamptz,
  size bigint not null,         -- bytes
  -- "duplicate" is an arrival of a mail that is here already, and "deferred" leaves nothing anywhere.
  verdict text not null check (verdict in ('held', 'ignored', 'refused', 'rejected', 'accepted')),
  reason text,                  -- for the operator
  problems jsonb not null default '[]',
  evidence jsonb not null default '{}',
  rule text,                    -- the sender rule that decided
  reply_allowed boolean not null default false,
  supersedes uuid references intake.mails (id) on delete set null,  -- the old may be cleaned away, the new stays
  received_at timestamptz not null,
  decided_at timestamptz not null default now()
);

create index idx_mails_raw_id on intake.mails (raw_id);
create index idx_mails_content_id on intake.mails (content_id);
create index idx_mails_message_id on intake.mails (message_id);
create index idx_mails_supersedes on intake.mails (supersedes);
create index idx_mails_verdict_received_at on intake.mails (verdict, received_at);

-- Where and when a mail came, once for each time it came: a cursor, never an identity. A mailbox numbers its
-- mails anew when it likes (UIDVALIDITY), so all four say together which slot of it was seen; nulls are
-- distinct here, because SMTP has no slots and each of its deliveries is an arrival.
create table intake.arrivals (
  id bigint generated always as identity primary key,
  mail_id uuid not null references intake.mails (id) on delete cascade,
  source text not null,
  account text,
  folder text,
  uidvalidity bigint,
  uid bigint,
  peer text,
  mail_from text,               -- null for the null sender, too
  rcpt_to text[] not null default '{}',
  verdict text not null check (verdict in ('held', 'ignored', 'refused', 'duplicate', 'rejected', 'accepted')),
  received_at timestamptz not null,
  constraint arrivals_slot_key unique (account, folder, uidvalidity, uid)
);

create index idx_arrivals_mail_id on intake.arrivals (mail_id);

-- What was in a mail and under which key its bytes lie. Every object has one owning mail, so that cleanup
-- needs no reference counts. spec_id is deliberately no foreign key: cleanup deletes specs, and the part must
-- still say afterwards which one was made of it, and where the bytes are that remain to be deleted.
create table intake.parts (
  mail_id uuid references intake.mails (id) on delete cascade,
  place text,                   -- as IMAP counts: "1", "2.1"
  name text,                    -- as the sender wrote it; never part of a key
  media_type text,
  size bigint not null,         -- bytes
  sha256 text not null,
  key text not null,            -- within the bucket
  spec_id uuid,
  primary key (mail_id, place)
);

create index idx_parts_spec_id on intake.parts (spec_id) where spec_id is not null;

-- What the daemon may know of the schema's version. It runs with its owner's rights, so that the daemon needs
-- none on supabase_migrations; a view this simple would take writes, hence SELECT alone below.
create view intake.migrations as
select version, name
from supabase_migrations.schema_migrations;

revoke all on intake.mails, intake.arrivals, intake.parts, intake.migrations
  from public, anon, authenticated, service_role;
revoke all on sequence intake.arrivals_id_seq from public, anon, authenticated, service_role;
grant select, insert, update on intake.mails, intake.arrivals, intake.parts to specpost_daemon;
grant usage on sequence intake.arrivals_id_seq to specpost_daemon;
grant select on intake.migrations to specpost_daemon;

alter table intake.mails enable row level security;
create policy "Daemon can read mails" on intake.mails
  for select to specpost_daemon using (true);
create policy "Daemon can insert mails" on intake.mails
  for insert to specpost_daemon with check (true);
create policy "Daemon can update mails" on intake.mails
  for update to specpost_daemon using (true) with check (true);

alter table intake.arrivals enable row level security;
create policy "Daemon can read arrivals" on intake.arrivals
  for select to specpost_daemon using (true);
create policy "Daemon can insert arrivals" on intake.arrivals
  for insert to specpost_daemon with check (true);
create policy "Daemon can update arrivals" on intake.arrivals
  for update to specpost_daemon using (true) with check (true);

alter table intake.parts enable row level security;
create policy "Daemon can read parts" on intake.parts
  for select to specpost_daemon using (true);
create policy "Daemon can insert parts" on intake.parts
  for insert to specpost_daemon with check (true);
create policy "Daemon can update parts" on intake.parts
  for update to specpost_daemon using (true) with check (true);
