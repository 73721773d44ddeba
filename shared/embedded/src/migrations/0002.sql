-- A new revision with every write of an event: whoever changes one sees whether somebody else did so first.
ALTER TABLE event ADD COLUMN revision TEXT NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
