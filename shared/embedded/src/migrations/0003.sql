-- When an event was sent or given up; NULL while it is pending. Those that ended long ago are found by it, and forgotten.
ALTER TABLE event ADD COLUMN ended INTEGER;
UPDATE event SET ended = coalesce((SELECT max(at) FROM attempt WHERE event = event.id), accepted) WHERE status <> 'pending';
CREATE INDEX event_ended ON event (ended) WHERE ended IS NOT NULL;
