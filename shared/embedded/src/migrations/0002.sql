-- Events whose round begins in the future: the clock was set back after they were accepted.
CREATE INDEX event_round ON event (round_started) WHERE status = 'pending';
