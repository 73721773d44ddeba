use std::collections::{HashMap, HashSet};
use std::time::Duration;

use attendance::ports::{Change, EnrollmentId, StoreError};
use attendance::{Embedding, ModelId, StudentId, Timestamp};
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use serde::Deserialize;

use super::DynamoGallery;
use super::rows::{SHARDS, shard_partition};
use super::snapshot::{self, Snapshot};
use crate::bucket::PHOTOS;
use crate::table::{Query, from_row};

/// The part of a picture's row that says which objects it knows.
#[derive(Deserialize)]
struct KnownObjects {
    #[serde(default)]
    objects: Vec<String>,
}

impl DynamoGallery {
    /// Packs everything enrolled with the model into a new snapshot if anything has changed, and returns its size in
    /// bytes. Enrolments and recognitions go on meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; the old snapshot still stands.
    pub async fn rebuild_snapshot(&self, model: &ModelId) -> Result<Option<usize>, StoreError> {
        let old = self.snapshot(model).await?;
        let since = old.as_ref().map_or_else(|| vec![0; SHARDS], |old| old.version.0.clone());
        let (changes, version) = self.changes_after(&since, model).await?;
        if version.0 == since {
            return Ok(None);
        }
        let mut enrollments: HashMap<EnrollmentId, (StudentId, Vec<Embedding>)> = HashMap::new();
        let mut removed = Vec::new();
        for change in old.map(Snapshot::into_changes).unwrap_or_default().into_iter().chain(changes) {
            match change {
                Change::Add { id, student, embeddings } => drop(enrollments.insert(id, (student, embeddings))),
                Change::Remove { id } => removed.push(id),
            }
        }
        for id in removed {
            enrollments.remove(&id);
        }
        let mut enrollments: Vec<_> = enrollments.into_iter().map(|(id, (student, e))| (id, student, e)).collect();
        enrollments.sort_by_key(|(id, _, _)| *id);
        let bytes = Snapshot { model: model.clone(), version: version.clone(), enrollments }.encode();
        let size = bytes.len();
        self.bucket.put(&snapshot::key(model), "application/octet-stream", bytes).await?;
        // Somebody who was erased while this was packed may be in it, and the eraser may have deleted the snapshot
        // before this one was written.
        let (since, _) = self.changes_after(&version.0, model).await?;
        if since.iter().any(|change| matches!(change, Change::Remove { .. })) {
            self.bucket.delete_all(vec![snapshot::key(model)]).await?;
            return Ok(None);
        }
        Ok(Some(size))
    }

    /// Deletes pictures and crops that no row knows and that are older than `age` at `now`: what functions that were cut
    /// off left. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep(&self, now: Timestamp, age: Duration) -> Result<usize, StoreError> {
        let objects = self.bucket.list(PHOTOS).await?;
        let old = |written: u64| now.since(Timestamp::from_millis(written)) > age;
        let mut candidates: Vec<String> =
            objects.into_iter().filter(|(_, written)| old(*written)).map(|(key, _)| key).collect();
        if candidates.is_empty() {
            return Ok(0);
        }
        let shards = try_join_all((0..SHARDS).map(|shard| self.known_objects(shard))).await?;
        let known: HashSet<String> = shards.into_iter().flatten().collect();
        candidates.retain(|key| !known.contains(key));
        let count = candidates.len();
        self.bucket.delete_all(candidates).await?;
        Ok(count)
    }

    /// The objects that the rows of this shard know.
    async fn known_objects(&self, shard: usize) -> Result<Vec<String>, StoreError> {
        // Without the embeddings, of which there may be more than fit here.
        let query = Query::of(shard_partition(shard)).starting_with("face#").only("objects");
        let mut rows = self.table.query(&query);
        let mut known = Vec::new();
        while let Some(row) = rows.try_next().await? {
            known.extend(from_row::<KnownObjects>(row)?.objects);
        }
        Ok(known)
    }
}
