use attendance::ports::{Change, GalleryVersion, StoreError};
use attendance::{ModelId, StudentId};
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;

use super::DynamoGallery;
use super::rows::{FaceRow, GONE, GoneRow, SHARDS, Shard, VERSION, parse_hex, shard_partition};
use super::snapshot::{self, Snapshot};
use crate::table::{Query, Row, from_row, key, n, text};

impl DynamoGallery {
    /// What the shards' rows say now, by one consistent read.
    pub(super) async fn shards(&self) -> Result<Vec<Shard>, StoreError> {
        let keys = (0..SHARDS).map(|shard| key(&shard_partition(shard), VERSION)).collect();
        let mut shards = vec![Shard::default(); SHARDS];
        for row in self.table.get_each(keys).await? {
            let index = text(&row, "pk")?.strip_prefix("gallery#").and_then(|n| n.parse::<usize>().ok());
            let shard = index.and_then(|index| shards.get_mut(index));
            *shard.ok_or_else(|| StoreError::damaged("a shard that does not exist"))? = Shard::read(&row)?;
        }
        Ok(shards)
    }

    /// The changes from the beginning: a snapshot, if there is one, and what changed since.
    pub(super) async fn all_changes(&self, model: &ModelId) -> Result<(Vec<Change>, GalleryVersion), StoreError> {
        let Some(snapshot) = self.snapshot(model).await? else {
            return self.changes_after(&[0; SHARDS], model).await;
        };
        let version = snapshot.version.0.clone();
        let mut changes = snapshot.into_changes();
        let (since, now) = self.changes_after(&version, model).await?;
        changes.extend(since);
        Ok((changes, now))
    }

    /// The changes of all shards after `since` up to what is there now.
    pub(super) async fn changes_after(
        &self,
        since: &[u64],
        model: &ModelId,
    ) -> Result<(Vec<Change>, GalleryVersion), StoreError> {
        let now: Vec<u64> = self.shards().await?.iter().map(|shard| shard.version).collect();
        if since.iter().zip(&now).any(|(since, now)| since > now) {
            return Err(StoreError::damaged("the table is older than what was read from it before"));
        }
        let moved = since.iter().zip(&now).enumerate().filter(|(_, (since, now))| since < now);
        let changes = moved.map(|(shard, (since, now))| self.shard_changes(shard, since + 1, *now, model));
        Ok((try_join_all(changes).await?.concat(), GalleryVersion(now)))
    }

    /// The shard's changes from one number to another, both included.
    async fn shard_changes(
        &self,
        shard: usize,
        first: u64,
        last: u64,
        model: &ModelId,
    ) -> Result<Vec<Change>, StoreError> {
        let query = Query::of(shard_partition(shard)).through("changes", "version").between(n(first), n(last));
        let mut rows = self.table.query(&query);
        let mut changes = Vec::new();
        while let Some(row) = rows.try_next().await? {
            if text(&row, "sk")?.starts_with(GONE) {
                // A reader who starts from nothing has nothing to forget.
                if first > 1 {
                    changes.push(Change::Remove { id: parse_hex(&from_row::<GoneRow>(row)?.id)? });
                }
            } else if text(&row, "model")? == model.as_str() {
                changes.push(addition(row, model)?);
            }
        }
        Ok(changes)
    }

    /// The model's snapshot; `None` if there is none that can be used.
    pub(super) async fn snapshot(&self, model: &ModelId) -> Result<Option<Snapshot>, StoreError> {
        let Some((_, bytes)) = self.bucket.get(&snapshot::key(model)).await? else { return Ok(None) };
        match Snapshot::decode(&bytes, model) {
            Ok(snapshot) if snapshot.version.0.len() == SHARDS => Ok(Some(snapshot)),
            Ok(_) => {
                tracing::error!(model = model.as_str(), "the snapshot has another number of shards and is not used");
                Ok(None)
            }
            Err(error) => {
                tracing::error!(model = model.as_str(), %error, "the snapshot is damaged or of another model and is not used");
                Ok(None)
            }
        }
    }
}

/// The change that a picture's row stands for.
fn addition(row: Row, model: &ModelId) -> Result<Change, StoreError> {
    let face: FaceRow = from_row(row)?;
    let vectors = face.vectors.chunks(model.embedding_bytes());
    let embeddings = vectors.map(|vector| model.read_embedding(vector)).collect::<Result<_, _>>();
    Ok(Change::Add {
        id: parse_hex(&face.id)?,
        student: StudentId::parse(&face.student).map_err(StoreError::damaged)?,
        embeddings: embeddings.map_err(StoreError::damaged)?,
    })
}
