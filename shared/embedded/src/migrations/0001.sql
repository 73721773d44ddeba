-- Everything is in milliseconds since the Unix epoch and in UTF-8. Enrolment ids are 16 bytes, digests lower-case hex.

-- One row: the place in the sequence of gallery changes, and totals that would otherwise cost a scan.
CREATE TABLE gallery (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,
    encodings INTEGER NOT NULL,
    labels INTEGER NOT NULL
) STRICT;
INSERT INTO gallery VALUES (1, 0, 0, 0);

-- One picture of one student. `seq` is the change that added it, so that a reader finds what is new by a range.
CREATE TABLE enrollment (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    student TEXT NOT NULL,
    digest TEXT NOT NULL,
    -- The picture's file extension; NULL for embeddings that were imported without a picture.
    extension TEXT,
    model TEXT NOT NULL,
    saved INTEGER NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (student, digest)
) STRICT;

CREATE TABLE embedding (
    enrollment INTEGER NOT NULL REFERENCES enrollment (seq) ON DELETE CASCADE,
    n INTEGER NOT NULL,
    -- 128 little-endian 32-bit floats.
    vector BLOB NOT NULL CHECK (length(vector) = 512),
    -- Whether `<digest>-<n>.jpg` exists.
    crop INTEGER NOT NULL CHECK (crop IN (0, 1)),
    PRIMARY KEY (enrollment, n)
) STRICT, WITHOUT ROWID;

-- What was removed, for readers that still have it. It says nothing about whom.
CREATE TABLE removal (
    seq INTEGER PRIMARY KEY,
    enrollment_id BLOB NOT NULL CHECK (length(enrollment_id) = 16)
) STRICT;

CREATE TABLE cooldown (
    key TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX cooldown_until ON cooldown (until);

-- The outbox. Ids are UUIDv7: their order is the order of acceptance.
CREATE TABLE event (
    id TEXT PRIMARY KEY,
    student TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'dead')),
    accepted INTEGER NOT NULL,
    round_started INTEGER NOT NULL,
    round_attempts INTEGER NOT NULL,
    next_try INTEGER NOT NULL,
    leased_until INTEGER NOT NULL,
    -- When it was sent or given up; NULL while it is pending.
    ended INTEGER,
    due INTEGER NOT NULL GENERATED ALWAYS AS (max(next_try, leased_until)) VIRTUAL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX event_due ON event (due) WHERE status = 'pending';
CREATE INDEX event_status ON event (status, id);
-- Events whose round begins in the future: the clock was set back after they were accepted.
CREATE INDEX event_round ON event (round_started) WHERE status = 'pending';
-- Those that ended long ago, which are forgotten.
CREATE INDEX event_ended ON event (ended) WHERE ended IS NOT NULL;

CREATE TABLE attempt (
    event TEXT NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    n INTEGER NOT NULL,
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('delivered', 'failed', 'gone')),
    retry_after INTEGER,
    http_status INTEGER,
    message TEXT NOT NULL,
    PRIMARY KEY (event, n)
) STRICT, WITHOUT ROWID;

-- The latest pushes, for watchers that come back. AUTOINCREMENT never gives a number twice, also after deletions.
CREATE TABLE message (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    json TEXT NOT NULL
) STRICT;
