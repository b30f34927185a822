-- The roles that everything else is granted to, and what Supabase has and plain PostgreSQL lacks.
--
-- Runs as a superuser and as Supabase's own "postgres", who is none (CREATEROLE is enough), on PostgreSQL 15 to 18.

-- Rights belong to a group role that nobody logs in as: a login can be replaced, or its password lost,
-- and no grant or policy changes. Its name is in every later migration and in the installations'
-- login roles, so it stays.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role', 'specpost_daemon'] loop
    continue when exists (select from pg_catalog.pg_roles where rolname = wanted);
    begin
      execute pg_catalog.format('create role %I nologin noinherit', wanted);
    exception when duplicate_object or unique_violation then
      continue; -- roles belong to the whole server: another of its databases is being migrated at this moment
    end;
    if wanted = 'service_role' then
      begin
        alter role service_role bypassrls;
      exception when insufficient_privilege then
        null; -- only who has it may give it; without it the policies ask for the service role's claim
      end;
    end if;
  end loop;
end
$$;

do $$
begin
  if not exists (
    select
    from pg_catalog.pg_proc as p
    join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where n.nspname = 'auth' and p.proname = 'role' and p.pronargs = 0
  ) then
    create schema if not exists auth;
    create function auth.role() returns text
      language sql stable security invoker set search_path = ''
      as $role$
        select coalesce(
          nullif(pg_catalog.current_setting('request.jwt.claim.role', true), ''),
          nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'role'
        )
      $role$;
    revoke execute on function auth.role() from public;
    grant usage on schema auth to anon, authenticated, service_role;
    grant execute on function auth.role() to anon, authenticated, service_role;
  end if;
end
$$;
