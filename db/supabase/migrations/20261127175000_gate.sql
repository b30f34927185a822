-- The gate: whether what a run of CI reports meets its sprint's Definition of Done.
--
-- Pure functions that read no table. They belong to whoever migrates and are called by the bodies of what CI calls.

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'specpost_gate') then
    create role specpost_gate nologin noinherit;
  end if;
exception when duplicate_object or unique_violation then
  null; -- roles belong to the whole server: another of its databases is being migrated at this moment
end
$$;

grant usage on schema intake to specpost_gate;

-- What can't be taken. Each message is one line of printable ASCII, for it ends in the log of somebody's CI.

create function intake.shown(said text) returns text
  language sql immutable security invoker set search_path = ''
  return pg_catalog.regexp_replace(pg_catalog.left(said, 40), '[^ -~]', '?', 'g');

create function intake.refuse(what text, why text) returns void
  language plpgsql volatile security invoker set search_path = ''
  as $$
begin
  raise exception using errcode = '22023', message = pg_catalog.format('%s: %s', what, why);
end
$$;

-- A text of CI's: how many characters it has at most, what it has to match, and both in words.
create function intake.ask_text(said text, what text, most int, form text, why text) returns void
  language plpgsql immutable security invoker set search_path = ''
  as $$
begin
  if said is null or pg_catalog.length(said) > most or said !~ form then
    perform intake.refuse(what, why);
  end if;
end
$$;

-- JSON that everybody can store and read: other programs give up at a thousand levels, and eight characters may be a
-- number of a hundred thousand digits, which whoever reads the row would have to write out. How many octets the text
-- has is known only when it is written out, so that comes last.
create function intake.ask_size(said jsonb, what text, most int, why text) returns void
  language plpgsql stable security invoker set search_path = ''
  as $$
begin
  if pg_catalog.pg_column_size(said) > 4 * most then
    perform intake.refuse(what, why);
  elsif pg_catalog.jsonb_path_exists(said, 'strict $.**{100}') then
    perform intake.refuse(what, 'at most 100 levels of JSON');
  elsif exists (
    select
    from pg_catalog.jsonb_path_query(said, 'strict $.** ? (@.type() == "number")') as number
    where pg_catalog.scale(number::numeric) > 300 or pg_catalog.abs(number::numeric) > 1e308
  ) then
    perform intake.refuse(what, 'a number in it has more than 300 digits');
  elsif pg_catalog.octet_length(said::pg_catalog.text) > most then
    perform intake.refuse(what, why);
  end if;
end
$$;

-- The values of a summary and of a Definition of Done. JSON's null is as if nothing had been said, which is null here.

create function intake.ask_number(said jsonb, what text, most numeric, why text) returns jsonb
  language plpgsql immutable security invoker set search_path = ''
  as $$
begin
  if pg_catalog.jsonb_typeof(said) = 'number' then
    if said::numeric between 0 and most then
      return said;
    end if;
  elsif said is null or pg_catalog.jsonb_typeof(said) = 'null' then
    return null;
  end if;
  raise exception using errcode = '22023',
    message = pg_catalog.format('%s is %s: %s', what, intake.shown(said::pg_catalog.text), why);
end
$$;

create function intake.ask_count(said jsonb, what text) returns numeric
  language plpgsql immutable security invoker set search_path = ''
  as $$
begin
  if pg_catalog.jsonb_typeof(said) = 'number' then
    if said::numeric >= 0 and said::numeric = pg_catalog.trunc(said::numeric) then
      return said::numeric;
    end if;
  elsif said is null or pg_catalog.jsonb_typeof(said) = 'null' then
    return null;
  end if;
  raise exception using errcode = '22023',
    message = pg_catalog.format('%s is %s: a whole number, 0 or more is wanted', what, intake.shown(said::pg_catalog.text));
end
$$;

create function intake.ask_truth(said jsonb, what text) returns boolean
  language plpgsql immutable security invoker set search_path = ''
  as $$
begin
  if pg_catalog.jsonb_typeof(said) = 'boolean' then
    return said::boolean;
  elsif said is null or pg_catalog.jsonb_typeof(said) = 'null' then
    return null;
  end if;
  raise exception using errcode = '22023',
    message = pg_catalog.format('%s is %s: it is true or false', what, intake.shown(said::pg_catalog.text));
end
$$;

create function intake.ask_object(said jsonb, what text) returns jsonb
  language plpgsql immutable security invoker set search_path = ''
  as $$
begin
  if pg_catalog.jsonb_typeof(said) = 'object' then
    return said;
  elsif said is null or pg_catalog.jsonb_typeof(said) = 'null' then
    return null;
  end if;
  raise exception using errcode = '22023',
    message = pg_catalog.format('%s is %s: a JSON object is wanted', what, intake.shown(said::pg_catalog.text));
end
$$;

create function intake.ask_word(said jsonb, what text) returns text
  language plpgsql immutable security invoker set search_path = ''
  as $$
begin
  if said is null or pg_catalog.jsonb_typeof(said) = 'null' then
    return null;
  elsif pg_catalog.jsonb_typeof(said) <> 'string' or pg_catalog.length(said #>> '{}') > 100 then
    raise exception using errcode = '22023',
      message = pg_catalog.format('%s is %s: a text of at most 100 characters is wanted', what, intake.shown(said::pg_catalog.text));
  end if;
  return said #>> '{}';
end
$$;

-- Whether a summary meets a Definition of Done. DefinitionOfDone.evaluate says the same in Python, and the same table
-- of cases holds both. What both forms of a summary say counts as the worse of the two; CI's own word can fail the
-- gate and never pass it; and what is asked and not reported is missed.
create function intake.gate(dod jsonb, summary jsonb) returns jsonb
  language plpgsql immutable security invoker set search_path = ''
  as $$
declare
  a_fraction constant pg_catalog.text := 'a fraction from 0 to 1 is wanted, 0.85 and not 85';
  a_score constant pg_catalog.text := 'a score from 0 to 100 is wanted';
  done pg_catalog.jsonb;
  coverage pg_catalog.jsonb;
  lighthouse pg_catalog.jsonb;
  e2e boolean;
  unit boolean;
  lint boolean;
  typed boolean;
  status pg_catalog.text;
  result pg_catalog.text;
  suite record;
  place pg_catalog.text;
  counts pg_catalog.jsonb;
  passed numeric;
  failed numeric;
  errors numeric;
  suites boolean;
  ran boolean := false;
begin
  if summary is null or pg_catalog.jsonb_typeof(summary) = 'null' then
    perform intake.refuse('summary', 'a JSON object is wanted');
  end if;
  summary := intake.ask_object(summary, 'summary');
  perform intake.ask_size(summary, 'summary', 1024 * 1024, 'at most 1 MiB of JSON');

  coverage := intake.ask_number(summary -> 'coverage', 'coverage', 1, a_fraction);
  e2e := intake.ask_truth(summary -> 'e2e_pass', 'e2e_pass');
  unit := intake.ask_truth(summary -> 'unit_pass', 'unit_pass');
  lint := intake.ask_truth(summary -> 'lint_pass', 'lint_pass');
  typed := intake.ask_truth(summary -> 'type_check', 'type_check');
  status := intake.ask_word(summary -> 'status', 'status');
  result := intake.ask_word(summary -> 'result', 'result');
  if pg_catalog.jsonb_typeof(summary -> 'lighthouse') = 'object' then
    lighthouse := intake.ask_number(summary -> 'lighthouse' -> 'score', 'lighthouse.score', 100, a_score);
  else
    lighthouse := intake.ask_number(summary -> 'lighthouse', 'lighthouse', 100, a_score);
  end if;

  for suite in select * from pg_catalog.jsonb_each(intake.ask_object(summary -> 'tests', 'tests')) loop
    place := 'tests.' || intake.shown(suite.key);
    counts := intake.ask_object(suite.value, place);
    coverage := least(
      coverage, intake.ask_number(counts -> 'coverage', place || '.coverage', 1, a_fraction)
    );
    passed := intake.ask_count(counts -> 'passed', place || '.passed');
    failed := intake.ask_count(counts -> 'failed', place || '.failed');
    errors := intake.ask_count(counts -> 'errors', place || '.errors');
    continue when pg_catalog.num_nonnulls(passed, failed, errors) = 0;
    if suite.key = 'e2e' then
      e2e := coalesce(e2e, true) and coalesce(failed = 0 and passed > 0, false) and coalesce(errors, 0) = 0;
    else
      suites := coalesce(suites, true) and coalesce(failed = 0, false) and coalesce(errors, 0) = 0;
      ran := ran or coalesce(passed > 0, false);
    end if;
  end loop;
  if suites is not null then
    unit := coalesce(unit, true) and suites and ran;
  end if;
  if status is null or status = 'PASSED' and result <> 'PASSED' then
    status := result;
  end if;

  done := intake.ask_object(dod, 'dod_json');
  return (
    with asked (rank, criterion, wanted, reported, met) as (
      values
        (1, 'coverage_min', intake.ask_number(done -> 'coverage_min', 'dod_json.coverage_min', 1, a_fraction),
          coverage, null::boolean),
        (2, 'e2e_pass', pg_catalog.to_jsonb(intake.ask_truth(done -> 'e2e_pass', 'dod_json.e2e_pass')),
          pg_catalog.to_jsonb(e2e), e2e),
        (3, 'lighthouse_min', intake.ask_number(done -> 'lighthouse_min', 'dod_json.lighthouse_min', 100, a_score),
          lighthouse, null),
        (4, 'lint_pass', pg_catalog.to_jsonb(intake.ask_truth(done -> 'lint_pass', 'dod_json.lint_pass')),
          pg_catalog.to_jsonb(lint), lint),
        (5, 'type_check', pg_catalog.to_jsonb(intake.ask_truth(done -> 'type_check', 'dod_json.type_check')),
          pg_catalog.to_jsonb(typed), typed),
        (6, 'unit_pass', pg_catalog.to_jsonb(unit is not null), pg_catalog.to_jsonb(unit), unit),
        (7, 'status', case when status is not null then pg_catalog.to_jsonb('PASSED'::pg_catalog.text) end,
          pg_catalog.to_jsonb(status), status = 'PASSED')
    ),
    judged (rank, criterion, wanted, reported, verdict) as (
      select rank, criterion, wanted, reported, case
          when reported is null then 'not reported'
          when coalesce(met, reported >= wanted) then 'met'
          else 'missed'
        end
      from asked
      where wanted <> 'false'
      union all
      select 8, key, value, null, 'not checked'
      from pg_catalog.jsonb_each(done)
      where key not in ('coverage_min', 'e2e_pass', 'lighthouse_min', 'lint_pass', 'type_check')
    )
    select pg_catalog.jsonb_build_object(
      'result', case when pg_catalog.bool_and(verdict in ('met', 'not checked')) is false then 'FAILED' else 'PASSED' end,
      'criteria', coalesce(pg_catalog.jsonb_agg(
        pg_catalog.jsonb_build_object(
          'criterion', criterion, 'wanted', wanted, 'reported', reported, 'verdict', verdict
        )
        order by rank, criterion collate pg_catalog."C"
      ), '[]')
    )
    from judged
  );
end
$$;

-- PostgreSQL gives every function to everybody, and older Supabase projects to all their roles by name.
revoke execute on function
  intake.shown(text),
  intake.refuse(text, text),
  intake.ask_text(text, text, int, text, text),
  intake.ask_size(jsonb, text, int, text),
  intake.ask_number(jsonb, text, numeric, text),
  intake.ask_count(jsonb, text),
  intake.ask_truth(jsonb, text),
  intake.ask_object(jsonb, text),
  intake.ask_word(jsonb, text),
  intake.gate(jsonb, jsonb)
  from public, anon, authenticated, service_role;
grant execute on function
  intake.shown(text),
  intake.refuse(text, text),
  intake.ask_text(text, text, int, text, text),
  intake.ask_size(jsonb, text, int, text),
  intake.ask_number(jsonb, text, numeric, text),
  intake.ask_count(jsonb, text),
  intake.ask_truth(jsonb, text),
  intake.ask_object(jsonb, text),
  intake.ask_word(jsonb, text),
  intake.gate(jsonb, jsonb)
  to specpost_gate;
