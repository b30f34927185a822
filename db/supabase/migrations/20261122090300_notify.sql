-- A word on the channel "specpost_events" whenever a statement adds status events.
--
-- Once a statement and not once a row, with the largest new id and nothing more: a payload is limited to 8,000
-- bytes, and it only wakes. Who listens reads the rows, and goes on polling: a listener can miss a word,
-- and behind a transaction pooler hears none at all.

create function intake.announce_events() returns trigger
  language plpgsql security invoker set search_path = ''
  as $$
begin
  -- "on conflict do nothing" may have added no row: then there is nothing to say.
  perform pg_catalog.pg_notify('specpost_events', pg_catalog.max(id)::pg_catalog.text)
  from added
  having pg_catalog.count(*) > 0;
  return null;
end
$$;

-- Whoever inserts fires it without EXECUTE here or USAGE on the schema; nobody calls it by name.
revoke execute on function intake.announce_events() from public, anon, authenticated;

create trigger announce_events
  after insert on public.status_events
  referencing new table as added
  for each statement execute function intake.announce_events();
