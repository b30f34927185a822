-- The control plane: what the daemon, CI and people share.
--
-- A contract with programs that are not ours: names, types, defaults and nullability are given, and nothing
-- here may be added, narrowed or made unique (CI repeats its runs and writes phases of its own).
-- Sprints have no position: created_at, which the writer sets, is their order.
--
-- An older copy of these tables may be there, with rows in it. It is brought to the contract in place, so that what
-- hangs on it stays: views, triggers, publications.

create table if not exists public.specs (
  id uuid primary key default gen_random_uuid(),
  repo text not null,           -- GitHub repository, "owner/name"
  branch text not null,         -- target branch for development
  storage_path text not null,   -- the key within the bucket, prefix included
  sha text,                     -- git commit, if there is one
  created_at timestamptz default now(),
  created_by text               -- email address or API user
);

create table if not exists public.sprints (
  id uuid primary key default gen_random_uuid(),
  spec_id uuid references public.specs (id) on delete cascade,
  label text not null,          -- "S1"
  dod_json jsonb not null,      -- executable Definition of Done
  state text not null default 'PLANNED',  -- PLANNED, RUNNING, DONE, FAILED
  created_at timestamptz default now()
);

create table if not exists public.runs (
  id uuid primary key default gen_random_uuid(),
  sprint_id uuid references public.sprints (id) on delete cascade,
  ci_run_id text,               -- GitHub Actions run
  started_at timestamptz default now(),
  finished_at timestamptz,
  result text,                  -- PASSED, FAILED
  summary_json jsonb
);

create table if not exists public.artifacts (
  id uuid primary key default gen_random_uuid(),
  run_id uuid references public.runs (id) on delete cascade,
  kind text,                    -- junit, coverage, playwright, lighthouse, logs
  storage_path text not null,
  size bigint,                  -- bytes
  created_at timestamptz default now()
);

create table if not exists public.status_events (
  id bigserial primary key,
  run_id uuid,                  -- null until a run exists; then metadata.spec_id tells
  phase text,                   -- SPEC_RECEIVED, PLANNING, BUILD, TESTS_PASSED, FAILED, MERGED, and CI's own
  message text,
  metadata jsonb,
  created_at timestamptz default now()
);

do $$
declare
  older record;
  missing text;
begin
  if exists (
    select from pg_catalog.pg_attribute
    where attrelid = 'public.status_events'::regclass and attname = 'ts' and not attisdropped
  ) then
    -- It called created_at so and had no metadata. Two new columns, since the contract has an order of them.
    alter table public.status_events add column if not exists metadata jsonb;
    alter table public.status_events add column if not exists created_at timestamptz;
    update public.status_events set created_at = ts where created_at is null;
    alter table public.status_events drop column ts, alter column created_at set default now();
  end if;

  select pg_catalog.string_agg(wanted, ', ' order by place) into missing
  from pg_catalog.unnest(array[
    'specs.id uuid', 'specs.repo text', 'specs.branch text', 'specs.storage_path text', 'specs.sha text',
    'specs.created_at timestamp with time zone', 'specs.created_by text',
    'sprints.id uuid', 'sprints.spec_id uuid', 'sprints.label text', 'sprints.dod_json jsonb', 'sprints.state text',
    'sprints.created_at timestamp with time zone',
    'runs.id uuid', 'runs.sprint_id uuid', 'runs.ci_run_id text', 'runs.started_at timestamp with time zone',
    'runs.finished_at timestamp with time zone', 'runs.result text', 'runs.summary_json jsonb',
    'artifacts.id uuid', 'artifacts.run_id uuid', 'artifacts.kind text', 'artifacts.storage_path text',
    'artifacts.size bigint', 'artifacts.created_at timestamp with time zone',
    'status_events.id bigint', 'status_events.run_id uuid', 'status_events.phase text', 'status_events.message text',
    'status_events.metadata jsonb', 'status_events.created_at timestamp with time zone'
  ]) with ordinality as contract (wanted, place)
  where not exists (
    select
    from pg_catalog.pg_attribute as a
    join pg_catalog.pg_class as c on c.oid = a.attrelid
    where c.relnamespace = 'public'::regnamespace and not a.attisdropped
      and pg_catalog.format('%s.%s %s', c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)) = wanted
  );
  if missing is not null then
    raise exception 'public has a table of ours that is not as the contract has it: it lacks %', missing;
  end if;

  for older in
    select policyname, tablename
    from pg_catalog.pg_policies
    where schemaname = 'public' and permissive = 'PERMISSIVE'
      and tablename in ('specs', 'sprints', 'runs', 'artifacts', 'status_events')
  loop
    execute pg_catalog.format('drop policy %I on public.%I', older.policyname, older.tablename);
  end loop;
end
$$;

create index if not exists idx_sprints_spec_id on public.sprints (spec_id);
create index if not exists idx_runs_sprint_id on public.runs (sprint_id);
create index if not exists idx_artifacts_run_id on public.artifacts (run_id);
create index if not exists idx_status_events_run_id on public.status_events (run_id);
create index if not exists idx_status_events_created_at on public.status_events (created_at desc);

-- Older Supabase projects grant every new table to everybody by default: first nothing, then what is meant.
revoke all on
  public.specs, public.sprints, public.runs, public.artifacts, public.status_events
  from public, anon, authenticated, service_role;
revoke all on sequence public.status_events_id_seq from public, anon, authenticated, service_role;

grant usage on schema public to authenticated, service_role, specpost_daemon;
grant select on
  public.specs, public.sprints, public.runs, public.artifacts, public.status_events
  to authenticated;
grant select, insert, update, delete on
  public.specs, public.sprints, public.runs, public.artifacts, public.status_events
  to service_role;
grant usage, select on sequence public.status_events_id_seq to service_role;

-- The daemon adds and never alters: a daemon taken over by a mail can't rewrite or erase what was planned.
-- SELECT is there because "on conflict do nothing" and "returning" need it, as grant and as policy.
-- Cleanup, which deletes, is another role's work.
grant select, insert on
  public.specs, public.sprints, public.runs, public.artifacts, public.status_events
  to specpost_daemon;
grant usage on sequence public.status_events_id_seq to specpost_daemon;

-- Each policy names one role. Reading asks for nothing else, since auth.role() per row costs six times as
-- much and proves nothing that the grant does not; the sub-select in the others is run once a statement.

alter table public.specs enable row level security;
create policy "Authenticated users can read specs" on public.specs
  for select to authenticated using (true);
create policy "Service role can read specs" on public.specs
  for select to service_role using ((select auth.role()) = 'service_role');
create policy "Service role can insert specs" on public.specs
  for insert to service_role with check ((select auth.role()) = 'service_role');
create policy "Service role can update specs" on public.specs
  for update to service_role using ((select auth.role()) = 'service_role') with check ((select auth.role()) = 'service_role');
create policy "Service role can delete specs" on public.specs
  for delete to service_role using ((select auth.role()) = 'service_role');
create policy "Daemon can read specs" on public.specs
  for select to specpost_daemon using (true);
create policy "Daemon can insert specs" on public.specs
  for insert to specpost_daemon with check (true);

alter table public.sprints enable row level security;
create policy "Authenticated users can read sprints" on public.sprints
  for select to authenticated using (true);
create policy "Service role can read sprints" on public.sprints
  for select to service_role using ((select auth.role()) = 'service_role');
create policy "Service role can insert sprints" on public.sprints
  for insert to service_role with check ((select auth.role()) = 'service_role');
create policy "Service role can update sprints" on public.sprints
  for update to service_role using ((select auth.role()) = 'service_role') with check ((select auth.role()) = 'service_role');
create policy "Service role can delete sprints" on public.sprints
  for delete to service_role using ((select auth.role()) = 'service_role');
create policy "Daemon can read sprints" on public.sprints
  for select to specpost_daemon using (true);
create policy "Daemon can insert sprints" on public.sprints
  for insert to specpost_daemon with check (true);

alter table public.runs enable row level security;
create policy "Authenticated users can read runs" on public.runs
  for select to authenticated using (true);
create policy "Service role can read runs" on public.runs
  for select to service_role using ((select auth.role()) = 'service_role');
create policy "Service role can insert runs" on public.runs
  for insert to service_role with check ((select auth.role()) = 'service_role');
create policy "Service role can update runs" on public.runs
  for update to service_role using ((select auth.role()) = 'service_role') with check ((select auth.role()) = 'service_role');
create policy "Service role can delete runs" on public.runs
  for delete to service_role using ((select auth.role()) = 'service_role');
create policy "Daemon can read runs" on public.runs
  for select to specpost_daemon using (true);
create policy "Daemon can insert runs" on public.runs
  for insert to specpost_daemon with check (true);

alter table public.artifacts enable row level security;
create policy "Authenticated users can read artifacts" on public.artifacts
  for select to authenticated using (true);
create policy "Service role can read artifacts" on public.artifacts
  for select to service_role using ((select auth.role()) = 'service_role');
create policy "Service role can insert artifacts" on public.artifacts
  for insert to service_role with check ((select auth.role()) = 'service_role');
create policy "Service role can update artifacts" on public.artifacts
  for update to service_role using ((select auth.role()) = 'service_role') with check ((select auth.role()) = 'service_role');
create policy "Service role can delete artifacts" on public.artifacts
  for delete to service_role using ((select auth.role()) = 'service_role');
create policy "Daemon can read artifacts" on public.artifacts
  for select to specpost_daemon using (true);
create policy "Daemon can insert artifacts" on public.artifacts
  for insert to specpost_daemon with check (true);

alter table public.status_events enable row level security;
create policy "Authenticated users can read status_events" on public.status_events
  for select to authenticated using (true);
create policy "Service role can read status_events" on public.status_events
  for select to service_role using ((select auth.role()) = 'service_role');
create policy "Service role can insert status_events" on public.status_events
  for insert to service_role with check ((select auth.role()) = 'service_role');
create policy "Service role can update status_events" on public.status_events
  for update to service_role using ((select auth.role()) = 'service_role') with check ((select auth.role()) = 'service_role');
create policy "Service role can delete status_events" on public.status_events
  for delete to service_role using ((select auth.role()) = 'service_role');
create policy "Daemon can read status_events" on public.status_events
  for select to specpost_daemon using (true);
create policy "Daemon can insert status_events" on public.status_events
  for insert to specpost_daemon with check (true);
