//! Who is enrolled. What each file is about: the rows, reading their changes, committing an enrolment, erasing, who asks
//! for a picture, and what the schedule does.

mod changes;
mod commit;
mod erase;
mod origins;
mod rows;
mod snapshot;
mod upkeep;

use async_trait::async_trait;
use attendance::ports::{
    Change, Enrolled, Enrollment, EnrollmentOrigin, GalleryCounts, GalleryStore, GalleryVersion, InboxKey, StoreError,
};
use attendance::{ModelId, PhotoDigest, StudentId};
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;

use crate::bucket::{Bucket, REPORTS};
use crate::table::{Query, Row, Table, from_row, size, text};

pub use rows::SHARDS;

use rows::{FaceRow, face_key, partition, shard_partition};

/// Who is enrolled: rows in DynamoDB, pictures and crops in S3.
///
/// Every change of a shard takes its next number in the transaction that makes it, so the numbers leave no gap and
/// nothing is committed below one that was seen. Its [`GalleryVersion`] is the number of each shard's last change.
pub struct DynamoGallery {
    table: Table,
    bucket: Bucket,
}

impl DynamoGallery {
    pub(crate) fn new(table: Table, bucket: Bucket) -> Self {
        Self { table, bucket }
    }

    /// The row of this picture.
    async fn face(&self, student: &StudentId, digest: &PhotoDigest) -> Result<Option<FaceRow>, StoreError> {
        self.table.get(&partition(student), &face_key(student, digest)).await?.map(from_row).transpose()
    }

    /// The student's pictures.
    async fn faces(&self, student: &StudentId) -> Result<Vec<FaceRow>, StoreError> {
        let rows = self.rows(&partition(student), &face_key(student, "")).await?;
        rows.into_iter().map(from_row).collect()
    }

    /// Rows of the partition whose sort key begins so, in order.
    async fn rows(&self, pk: &str, prefix: &str) -> Result<Vec<Row>, StoreError> {
        self.table.query(&Query::of(pk).starting_with(prefix)).try_collect().await
    }
}

#[async_trait]
impl GalleryStore for DynamoGallery {
    async fn find(
        &self,
        student: &StudentId,
        digest: &PhotoDigest,
        origin: &EnrollmentOrigin,
    ) -> Result<Option<Enrolled>, StoreError> {
        let face = self.face(student, digest).await?;
        let face = face.filter(|face| face.direct || *origin != EnrollmentOrigin::Direct);
        Ok(face.map(|face| Enrolled { saved: face.saved, new: false }))
    }

    async fn enroll(&self, enrollment: Enrollment) -> Result<Enrolled, StoreError> {
        if let Some(face) = self.face(&enrollment.student, &enrollment.digest).await?
            && let Some(equal) = self.extend(&face, &enrollment.origin).await?
        {
            return Ok(equal);
        }
        let pictures = commit::pictures(&enrollment);
        let keys: Vec<String> = pictures.iter().map(|(key, _, _)| key.clone()).collect();
        self.bucket.put_all(pictures).await?;
        let enrolled = self.commit(&enrollment, keys.clone()).await?;
        if !enrolled.new {
            // An equal one was faster. Its pictures have other keys.
            self.bucket.delete_all(keys).await?;
        }
        Ok(enrolled)
    }

    async fn remove(&self, student: &StudentId) -> Result<usize, StoreError> {
        let mut removed = self.erase(student, erase::SAME, |_| true).await?;
        // What lies in the inbox, or it would be enrolled again.
        let mut objects = Vec::new();
        for folder in [InboxKey::of(student, "").to_string(), format!("{REPORTS}{student}/")] {
            objects.extend(self.bucket.list(&folder).await?.into_iter().map(|(key, _)| key));
        }
        self.bucket.delete_all(objects).await?;
        // Once more for what was enrolled from there meanwhile. From now on nothing is left there to enrol.
        removed += self.erase(student, erase::SAME, |_| true).await?;
        self.finish_erasing(student).await?;
        Ok(removed)
    }

    async fn changes(
        &self,
        since: &GalleryVersion,
        model: &ModelId,
    ) -> Result<(Vec<Change>, GalleryVersion), StoreError> {
        match since.0.len() {
            0 => self.all_changes(model).await,
            SHARDS => self.changes_after(&since.0, model).await,
            _ => Err(StoreError::damaged("a version of another store")),
        }
    }

    async fn counts(&self) -> Result<GalleryCounts, StoreError> {
        let shards = self.shards().await?;
        Ok(GalleryCounts {
            encodings: shards.iter().map(|shard| shard.encodings).sum(),
            labels: shards.iter().map(|shard| shard.labels).sum(),
        })
    }

    async fn students(&self) -> Result<Vec<(StudentId, usize)>, StoreError> {
        let shards = (0..SHARDS).map(|shard| async move { self.rows(&shard_partition(shard), "student#").await });
        let mut students = Vec::new();
        for row in try_join_all(shards).await?.concat() {
            let id = text(&row, "sk")?.trim_start_matches("student#");
            students.push((StudentId::parse(id).map_err(StoreError::damaged)?, size(&row, "saved")?));
        }
        students.sort();
        Ok(students)
    }
}
