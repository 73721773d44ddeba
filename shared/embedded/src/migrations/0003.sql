-- How many numbers an embedding has is its model's affair; the code that reads and writes one checks it.
CREATE TABLE embedding_of_any_model (
    enrollment INTEGER NOT NULL REFERENCES enrollment (seq) ON DELETE CASCADE,
    n INTEGER NOT NULL,
    -- Little-endian 32-bit floats.
    vector BLOB NOT NULL CHECK (length(vector) > 0 AND length(vector) % 4 = 0),
    -- Whether `<digest>-<n>.jpg` exists.
    crop INTEGER NOT NULL CHECK (crop IN (0, 1)),
    PRIMARY KEY (enrollment, n)
) STRICT, WITHOUT ROWID;
INSERT INTO embedding_of_any_model SELECT enrollment, n, vector, crop FROM embedding;
DROP TABLE embedding;
ALTER TABLE embedding_of_any_model RENAME TO embedding;
