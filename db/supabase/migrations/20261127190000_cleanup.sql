-- Who removes what is old: a role of its own, so that the daemon can delete nothing, whoever gets into it.

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'specpost_cleanup') then
    create role specpost_cleanup nologin;
  end if;
exception when duplicate_object or unique_violation then
  null; -- roles belong to the whole server: another of its databases is being migrated at this moment
end
$$;

-- An object that was removed from storage on purpose. Its entry stays: a copy of the mail that comes again is told
-- which specifications were made of it, though these are gone.
alter table intake.parts add column removed_at timestamptz;

grant usage on schema intake to specpost_cleanup;
grant select, delete on public.specs, public.status_events, intake.mails to specpost_cleanup;
grant select on public.sprints, public.runs, public.artifacts, intake.jobs, intake.migrations to specpost_cleanup;
grant select, update (removed_at) on intake.parts to specpost_cleanup;
grant select, update (mail_id) on intake.arrivals to specpost_cleanup;

create policy "Cleanup can read specs" on public.specs for select to specpost_cleanup using (true);
create policy "Cleanup can delete specs" on public.specs for delete to specpost_cleanup using (true);
create policy "Cleanup can read sprints" on public.sprints for select to specpost_cleanup using (true);
create policy "Cleanup can read runs" on public.runs for select to specpost_cleanup using (true);
create policy "Cleanup can read artifacts" on public.artifacts for select to specpost_cleanup using (true);
create policy "Cleanup can read status_events" on public.status_events for select to specpost_cleanup using (true);
create policy "Cleanup can delete status_events" on public.status_events for delete to specpost_cleanup using (true);
create policy "Cleanup can read mails" on intake.mails for select to specpost_cleanup using (true);
create policy "Cleanup can delete mails" on intake.mails for delete to specpost_cleanup using (true);
create policy "Cleanup can read jobs" on intake.jobs for select to specpost_cleanup using (true);
create policy "Cleanup can read parts" on intake.parts for select to specpost_cleanup using (true);
create policy "Cleanup can update parts" on intake.parts
  for update to specpost_cleanup using (true) with check (true);
create policy "Cleanup can read arrivals" on intake.arrivals for select to specpost_cleanup using (true);
create policy "Cleanup can update arrivals" on intake.arrivals
  for update to specpost_cleanup using (true) with check (true);
