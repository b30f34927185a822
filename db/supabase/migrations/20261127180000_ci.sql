-- CI's side of the control plane: five functions and two views.
--
-- CI runs what pushers of code wrote, so it may read and call these, and alter nothing: the state of a sprint moves
-- only here. What is called is in "public" and has the caller's rights; what it calls has those of specpost_gate, a
-- role that nobody logs in as. In such a body every name is qualified, types too: "pg_temp" comes first for tables
-- and types whatever search_path says, and anybody may create a domain "text" in it.

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'ci_runner') then
    create role ci_runner nologin noinherit;
  end if;
exception when duplicate_object or unique_violation then
  null; -- roles belong to the whole server: another of its databases is being migrated at this moment
end
$$;

do $$
begin
  -- Who is no superuser gives functions only to a role that is theirs.
  grant specpost_gate to current_user;
  -- PostgREST's login becomes the role that a token names.
  if exists (select from pg_catalog.pg_roles where rolname = 'authenticator') then
    grant ci_runner to authenticator;
  end if;
exception when unique_violation then
  null; -- as above
end
$$;

grant usage on schema public to ci_runner, specpost_gate;
grant usage on schema intake to service_role, ci_runner;

-- CI reads all of the control plane and writes none of it.
grant select on
  public.specs, public.sprints, public.runs, public.artifacts, public.status_events
  to ci_runner;
create policy "CI can read specs" on public.specs for select to ci_runner using (true);
create policy "CI can read sprints" on public.sprints for select to ci_runner using (true);
create policy "CI can read runs" on public.runs for select to ci_runner using (true);
create policy "CI can read artifacts" on public.artifacts for select to ci_runner using (true);
create policy "CI can read status_events" on public.status_events for select to ci_runner using (true);

-- The gate moves a sprint's state, ends a run, and says the size of an artifact anew; all else of a row stays.
grant select on public.specs, public.sprints, public.runs, public.artifacts, public.status_events to specpost_gate;
grant update (state) on public.sprints to specpost_gate;
grant insert, update (finished_at, result, summary_json) on public.runs to specpost_gate;
grant insert, update (size) on public.artifacts to specpost_gate;
grant insert on public.status_events to specpost_gate;
grant usage on sequence public.status_events_id_seq to specpost_gate;
create policy "Gate can read specs" on public.specs for select to specpost_gate using (true);
create policy "Gate can read sprints" on public.sprints for select to specpost_gate using (true);
create policy "Gate can update sprints" on public.sprints for update to specpost_gate using (true) with check (true);
create policy "Gate can read runs" on public.runs for select to specpost_gate using (true);
create policy "Gate can insert runs" on public.runs for insert to specpost_gate with check (true);
create policy "Gate can update runs" on public.runs for update to specpost_gate using (true) with check (true);
create policy "Gate can read artifacts" on public.artifacts for select to specpost_gate using (true);
create policy "Gate can insert artifacts" on public.artifacts for insert to specpost_gate with check (true);
create policy "Gate can update artifacts" on public.artifacts for update to specpost_gate using (true) with check (true);
create policy "Gate can read status_events" on public.status_events for select to specpost_gate using (true);
create policy "Gate can insert status_events" on public.status_events for insert to specpost_gate with check (true);

-- The run of an attempt has an id made of what it is a run of (RFC 9562, version 8): to start it twice is to start it
-- once, also for two at the same time.
create function intake.run_id(sprint_id uuid, ci_run_id text, attempt int) returns uuid
  language plpgsql immutable security invoker set search_path = ''
  as $$
declare
  digest pg_catalog.bytea := pg_catalog.sha256(
    pg_catalog.convert_to(pg_catalog.format('%s %s %s', sprint_id, attempt, ci_run_id), 'UTF8')
  );
begin
  digest := pg_catalog.set_byte(digest, 6, pg_catalog.get_byte(digest, 6) & 15 | 128);
  digest := pg_catalog.set_byte(digest, 8, pg_catalog.get_byte(digest, 8) & 63 | 128);
  return pg_catalog.encode(pg_catalog.substring(digest, 1, 16), 'hex')::pg_catalog.uuid;
end
$$;

-- Who alters a sprint and its runs locks the sprint before the run, so that two never wait for each other.

create function intake.start_run(of_sprint uuid, by_ci_run text, attempt int) returns public.runs
  language plpgsql volatile security definer set search_path = ''
  as $$
declare
  sprint public.sprints;
  run public.runs;
begin
  perform intake.ask_text(by_ci_run, 'ci_run_id', 200, '^[ -~]+$', '1 to 200 characters of printable ASCII');
  if attempt is null or attempt < 1 then
    perform intake.refuse('attempt', 'a whole number, 1 or more');
  end if;
  select * into sprint from public.sprints where id = of_sprint for no key update;
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('no sprint has the id %s', of_sprint);
  end if;
  select * into run from public.runs where id = intake.run_id(of_sprint, by_ci_run, attempt);
  if found then
    return run;
  end if;
  if sprint.state not in ('PLANNED', 'RUNNING', 'FAILED') then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('sprint %s is %s and can''t be run', of_sprint, intake.shown(sprint.state)),
      hint = 'next_sprint tells which one is planned.';
  end if;
  insert into public.runs (id, sprint_id, ci_run_id)
  values (intake.run_id(of_sprint, by_ci_run, attempt), of_sprint, by_ci_run)
  returning * into run;
  update public.sprints set state = 'RUNNING' where id = of_sprint and state <> 'RUNNING';
  insert into public.status_events (run_id, phase, message, metadata)
  values (run.id, 'BUILD', pg_catalog.format('%s: attempt %s of run %s', sprint.label, attempt, by_ci_run),
    pg_catalog.jsonb_build_object('spec_id', sprint.spec_id, 'sprint_id', of_sprint, 'label', sprint.label,
      'ci_run_id', by_ci_run, 'attempt', attempt));
  return run;
end
$$;

-- A kind is a folder under reports/<run>/, and a path is what every store takes as a key.
create function intake.record_artifact(of_run uuid, of_kind text, path text, bytes bigint) returns public.artifacts
  language plpgsql volatile security definer set search_path = ''
  as $$
declare
  artifact public.artifacts;
begin
  perform intake.ask_text(of_kind, 'kind', 100, '^[A-Za-z0-9][A-Za-z0-9_.-]*$',
    'a word of at most 100 characters, such as junit, coverage, playwright, lighthouse or logs');
  perform intake.ask_text(path, 'storage_path', 1000, '^[A-Za-z0-9_/!.*''() &$=@;:+,?-]+$',
    'a key in storage, 1 to 1000 characters of A-Z a-z 0-9 _/!.*''() &$=@;:+,?-');
  if path ~ '(^|/)[.]{0,2}(/|$)' then
    perform intake.refuse('storage_path', 'a key in storage has no empty step, no . and no ..');
  end if;
  if bytes is null or bytes < 0 then
    perform intake.refuse('size', 'a whole number of bytes, 0 or more');
  end if;
  perform from public.runs where id = of_run for no key update; -- who records the same meanwhile waits
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('no run has the id %s', of_run);
  end if;
  select * into artifact
  from public.artifacts
  where run_id = of_run and kind = of_kind and storage_path = path
  order by created_at, id limit 1;
  if not found then
    insert into public.artifacts (run_id, kind, storage_path, size)
    values (of_run, of_kind, path, bytes)
    returning * into artifact;
  elsif artifact.size is distinct from bytes then
    -- The same key was uploaded again.
    update public.artifacts set size = bytes where id = artifact.id returning * into artifact;
  end if;
  return artifact;
end
$$;

-- Which specification an event is of is not CI's to say, and what only the daemon or the gate can know is theirs.
create function intake.log_event(of_run uuid, of_phase text, said text, more jsonb) returns public.status_events
  language plpgsql volatile security definer set search_path = ''
  as $$
declare
  run public.runs;
  sprint public.sprints;
  event public.status_events;
begin
  perform intake.ask_text(of_phase, 'phase', 50, '^[A-Z][A-Z0-9_]*$',
    'a word of at most 50 capitals, digits and _, such as BUILD, TESTS_FAILED or ARTIFACTS_UPLOADED');
  if of_phase in ('SPEC_RECEIVED', 'PLANNING') then
    perform intake.refuse('phase', of_phase || ' is said by the daemon alone');
  elsif of_phase in ('TESTS_PASSED', 'FAILED') then
    perform intake.refuse('phase', of_phase || ' is said by finish_run alone, when the gate has decided');
  end if;
  if said is null or pg_catalog.length(said) > 2000 then
    perform intake.refuse('message', 'a text of at most 2000 characters');
  end if;
  more := coalesce(intake.ask_object(more, 'metadata'), '{}');
  perform intake.ask_size(more, 'metadata', 64 * 1024, 'at most 64 KiB of JSON');
  select * into run from public.runs where id = of_run;
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('no run has the id %s', of_run);
  end if;
  select * into sprint from public.sprints where id = run.sprint_id;
  insert into public.status_events (run_id, phase, message, metadata)
  values (of_run, of_phase, said,
    more || pg_catalog.jsonb_build_object('spec_id', sprint.spec_id, 'sprint_id', sprint.id))
  returning * into event;
  return event;
end
$$;

create function intake.finish_run(of_run uuid, summary jsonb) returns jsonb
  language plpgsql volatile security definer set search_path = ''
  as $$
declare
  run public.runs;
  sprint public.sprints;
  verdict pg_catalog.jsonb;
  passed boolean;
begin
  select * into run from public.runs where id = of_run;
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('no run has the id %s', of_run);
  end if;
  select * into sprint from public.sprints where id = run.sprint_id for no key update;
  if not found then
    raise sqlstate 'PT409' using
      message = pg_catalog.format('run %s is of no sprint: nothing says when it is done', of_run);
  end if;
  select * into run from public.runs where id = of_run for no key update;

  verdict := intake.gate(sprint.dod_json, summary);
  passed := verdict ->> 'result' = 'PASSED';
  if run.finished_at is not null or run.result is not null then
    if run.result is distinct from verdict ->> 'result' then
      raise sqlstate 'PT409' using
        message = pg_catalog.format('run %s is finished (%s), and by this summary it would be %s', of_run,
          coalesce(intake.shown(run.result), 'no result'), verdict ->> 'result'),
        hint = 'Start a run with another attempt.';
    end if;
  else
    if sprint.state not in ('PLANNED', 'RUNNING', 'FAILED') then
      raise sqlstate 'PT409' using
        message = pg_catalog.format('run %s is of sprint %s, which is %s already', of_run, sprint.id,
          intake.shown(sprint.state));
    end if;
    update public.runs
    set finished_at = pg_catalog.now(), result = verdict ->> 'result', summary_json = summary
    where id = of_run;
    update public.sprints set state = case when passed then 'DONE' else 'FAILED' end where id = sprint.id;
    insert into public.status_events (run_id, phase, message, metadata)
    values (of_run, case when passed then 'TESTS_PASSED' else 'FAILED' end,
      sprint.label || ': ' || case when passed then 'the gate is passed' else (
        select pg_catalog.string_agg(
          pg_catalog.format('%s %s', line ->> 'criterion', line ->> 'verdict'), ', ' order by place
        )
        from pg_catalog.jsonb_array_elements(verdict -> 'criteria') with ordinality as of_gate (line, place)
        where line ->> 'verdict' in ('missed', 'not reported')
      ) end,
      pg_catalog.jsonb_build_object('spec_id', sprint.spec_id, 'sprint_id', sprint.id,
        'criteria', verdict -> 'criteria'));
  end if;
  return verdict || pg_catalog.jsonb_build_object('run_id', of_run, 'sprint_id', sprint.id, 'spec_id', sprint.spec_id);
end
$$;

create function intake.next_sprint(of_spec uuid) returns setof public.sprints
  language plpgsql stable security definer set search_path = ''
  as $$
begin
  perform from public.specs where id = of_spec;
  if not found then
    raise sqlstate 'PT404' using message = pg_catalog.format('no specification has the id %s', of_spec);
  end if;
  return query
    select * from public.sprints where spec_id = of_spec and state = 'PLANNED' order by created_at, id limit 1;
end
$$;

-- What CI calls.

create function public.start_run(sprint_id uuid, ci_run_id text, attempt int default 1) returns public.runs
  language sql volatile security invoker set search_path = ''
  as $$ select intake.start_run(sprint_id, ci_run_id, attempt) $$;

create function public.record_artifact(run_id uuid, kind text, storage_path text, size bigint) returns public.artifacts
  language sql volatile security invoker set search_path = ''
  as $$ select intake.record_artifact(run_id, kind, storage_path, size) $$;

create function public.log_event(run_id uuid, phase text, message text, metadata jsonb default '{}')
  returns public.status_events
  language sql volatile security invoker set search_path = ''
  as $$ select intake.log_event(run_id, phase, message, metadata) $$;

create function public.finish_run(run_id uuid, summary jsonb) returns jsonb
  language sql volatile security invoker set search_path = ''
  as $$ select intake.finish_run(run_id, summary) $$;

create function public.next_sprint(spec_id uuid) returns setof public.sprints
  language sql stable security invoker set search_path = ''
  as $$ select * from intake.next_sprint(spec_id) $$;

-- What people look at, with their own rights.

create view public.spec_progress with (security_invoker = true) as
with told as (
  select distinct on (spec) spec, phase, created_at
  from (
    -- The id in an event's metadata may be anything that a script wrote, so it is compared as the text it is.
    select e.id, e.phase, e.created_at, coalesce(e.metadata ->> 'spec_id', s.spec_id::text) as spec
    from public.status_events as e
    left join public.runs as r on r.id = e.run_id
    left join public.sprints as s on s.id = r.sprint_id
  ) as events
  order by spec, created_at desc nulls last, id desc
),
counted as (
  select spec_id, count(*) as sprints, count(*) filter (where state = 'DONE') as sprints_done
  from public.sprints
  group by spec_id
)
select
  specs.id as spec_id,
  specs.repo,
  specs.branch,
  coalesce(counted.sprints_done, 0) as sprints_done,
  coalesce(counted.sprints, 0) as sprints,
  told.phase as last_phase,
  told.created_at as last_event_at,
  specs.created_at,
  now() - specs.created_at as age
from public.specs
left join counted on counted.spec_id = specs.id
left join told on told.spec = specs.id::text
order by specs.created_at desc, specs.id;

create view public.sprint_board with (security_invoker = true) as
select
  sprints.spec_id, -- and not specs.id: it is what places are counted within, so asking for one reads only its sprints
  specs.repo,
  specs.branch,
  sprints.id as sprint_id,
  row_number() over (partition by sprints.spec_id order by sprints.created_at, sprints.id) as place,
  sprints.label,
  sprints.state,
  (select count(*) from public.runs where runs.sprint_id = sprints.id) as runs,
  last.id as run_id,
  last.ci_run_id,
  last.started_at,
  last.finished_at,
  last.result
from public.sprints
join public.specs on specs.id = sprints.spec_id
left join lateral (
  select * from public.runs where runs.sprint_id = sprints.id order by started_at desc nulls last, id limit 1
) as last on true
order by specs.created_at, specs.id, place;

-- Nobody but who is meant: PostgreSQL gives every function to everybody, and older Supabase projects all else.

revoke all on public.spec_progress, public.sprint_board from public, anon, authenticated, service_role;
grant select on public.spec_progress, public.sprint_board
  to authenticated, service_role, ci_runner, specpost_daemon;

revoke execute on function intake.announce_events() from service_role;
revoke execute on function
  intake.run_id(uuid, text, int),
  intake.start_run(uuid, text, int),
  intake.record_artifact(uuid, text, text, bigint),
  intake.log_event(uuid, text, text, jsonb),
  intake.finish_run(uuid, jsonb),
  intake.next_sprint(uuid),
  public.start_run(uuid, text, int),
  public.record_artifact(uuid, text, text, bigint),
  public.log_event(uuid, text, text, jsonb),
  public.finish_run(uuid, jsonb),
  public.next_sprint(uuid)
  from public, anon, authenticated, service_role;
grant execute on function
  intake.run_id(uuid, text, int)
  to specpost_gate;
grant execute on function
  intake.start_run(uuid, text, int),
  intake.record_artifact(uuid, text, text, bigint),
  intake.log_event(uuid, text, text, jsonb),
  intake.finish_run(uuid, jsonb),
  intake.next_sprint(uuid),
  public.start_run(uuid, text, int),
  public.record_artifact(uuid, text, text, bigint),
  public.log_event(uuid, text, text, jsonb),
  public.finish_run(uuid, jsonb),
  public.next_sprint(uuid)
  to service_role, ci_runner;

-- A new owner needs CREATE for the moment of becoming one.
grant create on schema intake to specpost_gate;
alter function intake.start_run(uuid, text, int) owner to specpost_gate;
alter function intake.record_artifact(uuid, text, text, bigint) owner to specpost_gate;
alter function intake.log_event(uuid, text, text, jsonb) owner to specpost_gate;
alter function intake.finish_run(uuid, jsonb) owner to specpost_gate;
alter function intake.next_sprint(uuid) owner to specpost_gate;
revoke create on schema intake from specpost_gate;
