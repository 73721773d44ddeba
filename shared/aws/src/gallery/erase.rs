use attendance::StudentId;
use attendance::ports::StoreError;
use uuid::Uuid;

use super::DynamoGallery;
use super::rows::{FaceRow, GoneRow, Shard, VERSION, count_student, gone_key, partition, student_key};
use super::snapshot;
use crate::backoff::Backoff;
use crate::table::{Expression, NotCommitted, from_row, s, size, to_row};

/// Pictures that one transaction erases: two writes for each, and two more, of the 100 that are allowed.
const ERASED_AT_ONCE: usize = 40;

/// The condition that a picture's row is the one that was read.
pub(super) const SAME: &str = "#id = :id";

impl DynamoGallery {
    /// Erases the rows of those of the student's pictures that `chosen` picks and that still meet `condition` when they
    /// are erased, and returns the number of embeddings erased.
    pub(super) async fn erase(
        &self,
        student: &StudentId,
        condition: &str,
        chosen: impl Fn(&FaceRow) -> bool,
    ) -> Result<usize, StoreError> {
        let pk = partition(student);
        let mut backoff = Backoff::new();
        let mut removed = 0;
        loop {
            // First, so that whatever changes after it was read makes the commit fail.
            let shard = self.shard(&pk).await?;
            let mut faces = self.faces(student).await?;
            faces.retain(&chosen);
            faces.truncate(ERASED_AT_ONCE);
            if faces.is_empty() {
                return Ok(removed);
            }
            let of_student = self.table.get(&pk, &student_key(student)).await?;
            let of_student = of_student.map(|row| size(&row, "saved")).transpose()?.unwrap_or_default();
            // Otherwise these numbers may be of different moments, and look damaged.
            if self.shard(&pk).await? == shard
                && let Some(erased) = self.erase_rows(student, shard, of_student, &faces, condition).await?
            {
                removed += erased;
                continue;
            }
            backoff.wait().await?;
        }
    }

    /// Erases these pictures' rows in one transaction, and returns the number of embeddings erased, or `None` if anything
    /// about them has changed. `shard` was read before `faces` and `of_student`.
    async fn erase_rows(
        &self,
        student: &StudentId,
        shard: Shard,
        of_student: usize,
        faces: &[FaceRow],
        condition: &str,
    ) -> Result<Option<usize>, StoreError> {
        let pk = partition(student);
        let removed: usize = faces.iter().map(|face| face.saved).sum();
        let left = of_student
            .checked_sub(removed)
            .ok_or_else(|| StoreError::damaged("a student's count is below that of the pictures"))?;
        let encodings = shard.encodings.checked_sub(removed);
        let next = Shard {
            version: shard.version + 1,
            encodings: encodings.ok_or_else(|| StoreError::damaged("a shard's count is below that of the pictures"))?,
            labels: shard
                .labels
                .checked_sub(usize::from(left == 0))
                .ok_or_else(|| StoreError::damaged("a shard counts fewer students than it has"))?,
        };
        let mut writes = vec![
            shard.moved_to(next, &self.table, &pk),
            count_student(&self.table, &pk, student, Some(of_student), left),
        ];
        for face in faces {
            let condition = Expression::condition(condition).value("id", s(&face.id));
            writes.push(self.table.delete(&pk, &face.sk, condition));
            let gone = GoneRow {
                pk: pk.clone(),
                sk: gone_key(student, &face.id),
                id: face.id.clone(),
                version: next.version,
                unfinished: true,
                objects: face.objects.clone(),
            };
            writes.push(self.table.put(to_row(gone), None));
        }
        match self.table.transact(writes, &Uuid::now_v7().to_string()).await {
            Ok(()) => Ok(Some(removed)),
            Err(NotCommitted::Condition(_)) => Ok(None),
            Err(NotCommitted::Store(error)) => Err(error),
        }
    }

    /// Deletes the pictures of the student's erased rows, also those of an earlier removal that was cut off before it
    /// came to this.
    pub(super) async fn finish_erasing(&self, student: &StudentId) -> Result<(), StoreError> {
        let rows = self.rows(&partition(student), &gone_key(student, "")).await?;
        let mut gone = rows.into_iter().map(from_row).collect::<Result<Vec<GoneRow>, _>>()?;
        gone.retain(|row| row.unfinished);
        if gone.is_empty() {
            return Ok(());
        }
        let snapshots = self.bucket.list(snapshot::PREFIX).await?.into_iter().map(|(key, _)| key);
        self.bucket.delete_all(snapshots.chain(gone.iter().flat_map(|row| row.objects.clone())).collect()).await?;
        for row in gone {
            let finished = Expression::new("REMOVE #unfinished, #objects", None);
            self.table.update_row(&row.pk, &row.sk, finished).await?;
        }
        Ok(())
    }

    async fn shard(&self, pk: &str) -> Result<Shard, StoreError> {
        self.table.get(pk, VERSION).await?.map_or(Ok(Shard::default()), |row| Shard::read(&row))
    }
}
