-- Holds are promised in a file beside the database before they are written here. `promised_through` is the last era of
-- that file whose holds are all in `hold`, or ended. It begins at random: books that were put in the place of others must
-- not take theirs for their own.
ALTER TABLE meta ADD COLUMN promised_through INTEGER NOT NULL DEFAULT 0;
UPDATE meta SET promised_through = random() >> 1;
