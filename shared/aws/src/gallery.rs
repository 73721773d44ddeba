use std::collections::HashMap;

use async_trait::async_trait;
use attendance::ports::{
    Change, Enrolled, Enrollment, EnrollmentId, GalleryCounts, GalleryStore, GalleryVersion, StoreError,
};
use attendance::{Embedding, ModelId, PhotoDigest, StudentId};
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use uuid::Uuid;

use crate::backoff::Backoff;
use crate::objects::Bucket;
use crate::snapshot::{self, Snapshot};
use crate::table::{
    Expression, NotCommitted, Row, Table, Written, b, bytes, key, n, number, s, shard_of, size, text, texts,
};

/// Partitions of the gallery. A recognition reads this many small rows; this many students' enrolments commit at the
/// same instant. It is part of the table's layout: to change it is to write the table anew.
pub const SHARDS: usize = 8;

/// Pictures that one transaction erases: two writes each, and two more, of the 100 that are allowed.
const ERASED_AT_ONCE: usize = 40;

/// Who is enrolled: rows in DynamoDB, pictures and crops in S3.
///
/// Every change of a shard takes its next number in the transaction that makes it, so the numbers leave no gap and
/// nothing is committed below one that was seen. Its [`GalleryVersion`] is the number of each shard's last change.
pub struct DynamoGallery {
    pub(crate) table: Table,
    pub(crate) bucket: Bucket,
    // Whether enrolments hold by themselves, or as long as an object in the bucket asks for them.
    direct: bool,
}

/// A shard's `version` row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Shard {
    version: u64,
    encodings: usize,
    labels: usize,
}

impl Shard {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            version: number(row, "last_change")?,
            encodings: size(row, "encodings")?,
            labels: size(row, "labels")?,
        })
    }

    /// The write that moves the shard from `self` to `next`, if nobody else has moved it.
    fn moved_to(self, next: Self, table: &Table, pk: &str) -> TransactWriteItem {
        let condition = if self.version == 0 { "attribute_not_exists(#pk)" } else { "#last_change = :seen" };
        let set = "SET #last_change = :next, #encodings = :encodings, #labels = :labels";
        let mut expression = Expression::new(set, Some(condition))
            .value("next", n(next.version))
            .value("encodings", n(next.encodings))
            .value("labels", n(next.labels));
        if self.version != 0 {
            expression = expression.value("seen", n(self.version));
        }
        table.update(pk, VERSION, expression)
    }
}

/// One picture's row.
pub(crate) struct FaceRow {
    pub(crate) sk: String,
    id: String,
    saved: usize,
    objects: Vec<String>,
}

impl FaceRow {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            sk: text(row, "sk")?.to_owned(),
            id: text(row, "id")?.to_owned(),
            saved: size(row, "saved")?,
            objects: texts(row, "objects"),
        })
    }
}

const VERSION: &str = "version";

pub(crate) fn partition(student: &StudentId) -> String {
    shard_partition(shard_of(student.as_str(), SHARDS))
}

fn shard_partition(shard: usize) -> String {
    format!("gallery#{shard}")
}

fn student_key(student: &StudentId) -> String {
    format!("student#{student}")
}

pub(crate) fn face_key(student: &StudentId, digest: impl std::fmt::Display) -> String {
    format!("face#{student}#{digest}")
}

fn hex(id: EnrollmentId) -> String {
    format!("{:032x}", id.0)
}

fn enrollment_id(row: &Row) -> Result<EnrollmentId, StoreError> {
    u128::from_str_radix(text(row, "id")?, 16).map(EnrollmentId).map_err(StoreError::damaged)
}

impl DynamoGallery {
    pub(crate) fn new(table: Table, bucket: Bucket, direct: bool) -> Self {
        Self { table, bucket, direct }
    }

    /// What the shards' rows say now, by one consistent read.
    async fn shards(&self) -> Result<Vec<Shard>, StoreError> {
        let keys = (0..SHARDS).map(|shard| key(&shard_partition(shard), VERSION)).collect();
        let mut shards = vec![Shard::default(); SHARDS];
        for row in self.table.get_each(keys).await? {
            let index = text(&row, "pk")?.strip_prefix("gallery#").and_then(|n| n.parse::<usize>().ok());
            let shard = index.and_then(|index| shards.get_mut(index));
            *shard.ok_or_else(|| StoreError::damaged("a shard that there is not"))? = Shard::read(&row)?;
        }
        Ok(shards)
    }

    async fn shard(&self, pk: &str) -> Result<Shard, StoreError> {
        self.table.get(pk, VERSION).await?.map_or(Ok(Shard::default()), |row| Shard::read(&row))
    }

    /// The student's pictures.
    pub(crate) async fn faces(&self, student: &StudentId) -> Result<Vec<Row>, StoreError> {
        self.rows(&partition(student), &format!("face#{student}#")).await
    }

    /// Rows of the partition whose `sk` begins so, in order.
    async fn rows(&self, pk: &str, prefix: &str) -> Result<Vec<Row>, StoreError> {
        self.rows_with(pk, prefix, None).await
    }

    /// The same, with one attribute of each row alone where one is named.
    async fn rows_with(&self, pk: &str, prefix: &str, attribute: Option<&str>) -> Result<Vec<Row>, StoreError> {
        let mut pages = self
            .table
            .client
            .query()
            .table_name(&self.table.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", s(pk))
            .expression_attribute_values(":prefix", s(prefix))
            .set_projection_expression(attribute.map(|_| "#attribute".to_owned()))
            .set_expression_attribute_names(attribute.map(|name| [("#attribute".to_owned(), name.to_owned())].into()))
            .into_paginator()
            .send();
        let mut rows = Vec::new();
        while let Some(page) = pages.next().await {
            rows.extend(page.map_err(StoreError::unavailable)?.items.unwrap_or_default());
        }
        Ok(rows)
    }

    /// The shard's changes from one number to another, both included.
    async fn shard_changes(
        &self,
        shard: usize,
        first: u64,
        last: u64,
        model: &ModelId,
    ) -> Result<Vec<Change>, StoreError> {
        let mut pages = self
            .table
            .client
            .query()
            .table_name(&self.table.name)
            .index_name("changes")
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND #version BETWEEN :first AND :last")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":pk", s(shard_partition(shard)))
            .expression_attribute_values(":first", n(first))
            .expression_attribute_values(":last", n(last))
            .into_paginator()
            .send();
        let mut changes = Vec::new();
        while let Some(page) = pages.next().await {
            for row in page.map_err(StoreError::unavailable)?.items.unwrap_or_default() {
                let id = enrollment_id(&row)?;
                if text(&row, "sk")?.starts_with("gone#") {
                    // Who begins has nothing to forget.
                    if first > 1 {
                        changes.push(Change::Remove { id });
                    }
                } else if text(&row, "model")? == model.as_str() {
                    let student = StudentId::parse(text(&row, "student")?).map_err(StoreError::damaged)?;
                    let vectors = bytes(&row, "vectors")?.chunks(4 * attendance::DIMENSIONS);
                    let embeddings =
                        vectors.map(Embedding::from_bytes).collect::<Result<_, _>>().map_err(StoreError::damaged)?;
                    changes.push(Change::Add { id, student, embeddings });
                }
            }
        }
        Ok(changes)
    }

    /// The changes of all shards after `since` up to what is there now.
    async fn changes_after(&self, since: &[u64], model: &ModelId) -> Result<(Vec<Change>, GalleryVersion), StoreError> {
        let now: Vec<u64> = self.shards().await?.iter().map(|shard| shard.version).collect();
        if since.iter().zip(&now).any(|(since, now)| since > now) {
            return Err(StoreError::damaged("the table is older than what was read from it before"));
        }
        let moved = since.iter().zip(&now).enumerate().filter(|(_, (since, now))| since < now);
        let changes = moved.map(|(shard, (since, now))| self.shard_changes(shard, since + 1, *now, model));
        Ok((try_join_all(changes).await?.concat(), GalleryVersion(now)))
    }

    /// The model's snapshot, where there is one that can be used.
    async fn snapshot(&self, model: &ModelId) -> Result<Option<Snapshot>, StoreError> {
        let Some((_, bytes)) = self.bucket.get(&snapshot::key(model)).await? else { return Ok(None) };
        match Snapshot::decode(&bytes) {
            Ok(snapshot) if snapshot.model == *model && snapshot.version.0.len() == SHARDS => Ok(Some(snapshot)),
            Ok(_) => {
                tracing::error!(model = model.as_str(), "the snapshot is of another model or layout and is not used");
                Ok(None)
            }
            Err(error) => {
                tracing::error!(model = model.as_str(), %error, "the snapshot is damaged and is not used");
                Ok(None)
            }
        }
    }

    /// Packs everything enrolled with the model into a new snapshot where there is anything new, and returns how many
    /// bytes it has. Enrolments and recognitions go on meanwhile.
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

    /// Deletes pictures and crops that no row knows and that are older than `age` in milliseconds at `now`: what
    /// functions that were cut off left. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep(&self, now: attendance::Timestamp, age: std::time::Duration) -> Result<usize, StoreError> {
        let objects = self.bucket.list("photos/").await?;
        let old = |written: u64| now.since(attendance::Timestamp::from_millis(written)) > age;
        let mut candidates: Vec<String> =
            objects.into_iter().filter(|(_, written)| old(*written)).map(|(key, _)| key).collect();
        if candidates.is_empty() {
            return Ok(0);
        }
        // Without the embeddings, of which there may be more than fit here.
        let shards = join_all(
            (0..SHARDS)
                .map(|shard| async move { self.rows_with(&shard_partition(shard), "face#", Some("objects")).await }),
        );
        let mut known = std::collections::HashSet::new();
        for rows in shards.await {
            known.extend(rows?.iter().flat_map(|row| texts(row, "objects")));
        }
        candidates.retain(|key| !known.contains(key));
        let count = candidates.len();
        self.bucket.delete_all(candidates).await?;
        Ok(count)
    }

    /// What an equal picture's row stands for, which is now enrolled by itself where this gallery enrols so: it stays when
    /// the object that it came from goes. `None` where it was erased meanwhile.
    async fn taken_over(&self, equal: &Row) -> Result<Option<Enrolled>, StoreError> {
        let enrolled = Enrolled { saved: size(equal, "saved")?, new: false };
        if !self.direct || equal.contains_key("direct") {
            return Ok(Some(enrolled));
        }
        let update = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(text(equal, "pk")?, text(equal, "sk")?)))
            .update_expression("SET #direct = :yes")
            .expression_attribute_names("#direct", "direct")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":yes", AttributeValue::Bool(true));
        let (written, _) = self.table.write_one(|| update.clone().send()).await?;
        Ok((written == Written::Yes).then_some(enrolled))
    }

    /// Commits the rows of an enrolment whose pictures are stored.
    async fn commit(&self, enrollment: &Enrollment, objects: &[String]) -> Result<Enrolled, StoreError> {
        let Enrollment { id, student, digest, model, faces, at, .. } = enrollment;
        let (pk, saved) = (partition(student), faces.len());
        let mut face = key(&pk, &face_key(student, digest));
        face.insert("id".into(), s(hex(*id)));
        face.insert("student".into(), s(student.as_str()));
        face.insert("model".into(), s(model.as_str()));
        face.insert("saved".into(), n(saved));
        face.insert("at".into(), n(at.millis()));
        face.insert("vectors".into(), b(faces.iter().flat_map(|(embedding, _)| embedding.to_bytes()).collect()));
        if !objects.is_empty() {
            face.insert("objects".into(), AttributeValue::Ss(objects.to_vec()));
        }
        if self.direct {
            face.insert("direct".into(), AttributeValue::Bool(true));
        }
        let mut backoff = Backoff::new();
        loop {
            let keys = [VERSION.to_owned(), student_key(student), face_key(student, digest)];
            let rows = self.table.get_each(keys.iter().map(|sk| key(&pk, sk)).collect()).await?;
            let row = |sk: &str| rows.iter().find(|row| text(row, "sk").is_ok_and(|found| found == sk));
            if let Some(equal) = row(&keys[2]) {
                // It is ours where the answer to the commit was lost.
                if let Some(enrolled) = self.taken_over(equal).await? {
                    return Ok(Enrolled { new: enrollment_id(equal)? == *id, ..enrolled });
                }
                continue;
            }
            let shard = row(VERSION).map_or(Ok(Shard::default()), Shard::read)?;
            let of_student = row(&keys[1]).map(|row| size(row, "saved")).transpose()?;
            let next = Shard {
                version: shard.version + 1,
                encodings: shard.encodings + saved,
                labels: shard.labels + usize::from(of_student.is_none()),
            };
            face.insert("version".into(), n(next.version));
            let writes = vec![
                shard.moved_to(next, &self.table, &pk),
                self.table.put(face.clone(), Some("attribute_not_exists(pk)")),
                self.count_student(&pk, student, of_student, of_student.unwrap_or_default() + saved),
            ];
            match self.table.transact(writes, &Uuid::now_v7().to_string()).await {
                Ok(()) => return Ok(Enrolled { saved, new: true }),
                Err(NotCommitted::Condition(_)) => backoff.wait().await?,
                Err(NotCommitted::Store(error)) => return Err(error),
            }
        }
    }

    /// The write that takes a student's row from one number of embeddings to another; 0 is no row.
    fn count_student(&self, pk: &str, student: &StudentId, from: Option<usize>, to: usize) -> TransactWriteItem {
        let condition = if from.is_some() { "#saved = :from" } else { "attribute_not_exists(#pk)" };
        let update = if to == 0 { "" } else { "SET #saved = :to" };
        let mut expression = Expression::new(update, Some(condition));
        if let Some(from) = from {
            expression = expression.value("from", n(from));
        }
        if to == 0 {
            return self.table.delete(pk, &student_key(student), expression);
        }
        self.table.update(pk, &student_key(student), expression.value("to", n(to)))
    }

    /// Erases these pictures' rows in one transaction, and returns how many embeddings that were, or `None` where
    /// anything about them has changed. `shard` was read before `faces` and `of_student`.
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
                .ok_or_else(|| StoreError::damaged("a shard has fewer students than there are"))?,
        };
        let mut writes =
            vec![shard.moved_to(next, &self.table, &pk), self.count_student(&pk, student, Some(of_student), left)];
        for face in faces {
            let same = Expression::new("", Some(condition)).value("id", s(&face.id));
            writes.push(self.table.delete(&pk, &face.sk, same));
            let mut gone = key(&pk, &format!("gone#{student}#{}", face.id));
            gone.insert("id".into(), s(&face.id));
            gone.insert("version".into(), n(next.version));
            // Until the pictures are gone too.
            gone.insert("unfinished".into(), AttributeValue::Bool(true));
            if !face.objects.is_empty() {
                gone.insert("objects".into(), AttributeValue::Ss(face.objects.clone()));
            }
            writes.push(self.table.put(gone, None));
        }
        match self.table.transact(writes, &Uuid::now_v7().to_string()).await {
            Ok(()) => Ok(Some(removed)),
            Err(NotCommitted::Condition(_)) => Ok(None),
            Err(NotCommitted::Store(error)) => Err(error),
        }
    }

    /// Erases the rows of those of the student's pictures that `chosen` picks and that are as in `condition`, and
    /// returns how many embeddings that were.
    pub(crate) async fn erase(
        &self,
        student: &StudentId,
        condition: &str,
        chosen: impl Fn(&Row) -> bool,
    ) -> Result<usize, StoreError> {
        let pk = partition(student);
        let mut backoff = Backoff::new();
        let mut removed = 0;
        loop {
            // First, so that whatever changes after it was read makes the commit fail.
            let shard = self.shard(&pk).await?;
            let rows = self.faces(student).await?;
            let faces = rows.iter().filter(|row| chosen(row)).take(ERASED_AT_ONCE).map(FaceRow::read);
            let faces = faces.collect::<Result<Vec<_>, _>>()?;
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

    /// Deletes the pictures of erased rows, also of those that somebody erased who was cut off before he came to it.
    pub(crate) async fn finish_erasing(&self, student: &StudentId) -> Result<(), StoreError> {
        let pk = partition(student);
        let mut gone = self.rows(&pk, &format!("gone#{student}#")).await?;
        gone.retain(|row| row.contains_key("unfinished"));
        if gone.is_empty() {
            return Ok(());
        }
        let snapshots = self.bucket.list(snapshot::PREFIX).await?.into_iter().map(|(key, _)| key);
        self.bucket.delete_all(snapshots.chain(gone.iter().flat_map(|row| texts(row, "objects"))).collect()).await?;
        for row in gone {
            let sk = text(&row, "sk")?;
            let update = self.table.client.update_item().table_name(&self.table.name).set_key(Some(key(&pk, sk)));
            update.update_expression("REMOVE unfinished, objects").send().await.map_err(StoreError::unavailable)?;
        }
        Ok(())
    }
}

/// What is put into the bucket for an enrolment: key, content type, bytes.
fn pictures(enrollment: &Enrollment) -> Vec<(String, &'static str, Bytes)> {
    let Enrollment { id, student, digest, photo, faces, .. } = enrollment;
    let name = format!("photos/{student}/{digest}-{}", hex(*id));
    let photo = photo.iter().map(|(format, bytes)| {
        let extension = format.extension();
        let content_type = match format {
            attendance::PhotoFormat::Jpeg => "image/jpeg",
            attendance::PhotoFormat::Png => "image/png",
            attendance::PhotoFormat::WebP => "image/webp",
        };
        (format!("{name}.{extension}"), content_type, bytes.clone())
    });
    let crops = faces.iter().enumerate().filter_map(|(n, (_, crop))| {
        crop.as_ref().map(|crop| (format!("{name}-{n}.face.jpg"), "image/jpeg", crop.clone()))
    });
    photo.chain(crops).collect()
}

#[async_trait]
impl GalleryStore for DynamoGallery {
    async fn find(&self, student: &StudentId, digest: &PhotoDigest) -> Result<Option<Enrolled>, StoreError> {
        let row = self.table.get(&partition(student), &face_key(student, digest)).await?;
        // One that is enrolled for its object alone is not found by who enrols by himself: `enroll` takes it over.
        let row = row.filter(|row| !self.direct || row.contains_key("direct"));
        row.map(|row| Ok(Enrolled { saved: size(&row, "saved")?, new: false })).transpose()
    }

    async fn enroll(&self, enrollment: Enrollment) -> Result<Enrolled, StoreError> {
        let sk = face_key(&enrollment.student, enrollment.digest);
        if let Some(row) = self.table.get(&partition(&enrollment.student), &sk).await?
            && let Some(equal) = self.taken_over(&row).await?
        {
            return Ok(equal);
        }
        let pictures = pictures(&enrollment);
        let keys: Vec<String> = pictures.iter().map(|(key, _, _)| key.clone()).collect();
        self.bucket.put_all(pictures).await?;
        let enrolled = self.commit(&enrollment, &keys).await?;
        if !enrolled.new {
            // An equal one was faster. Its pictures have other keys.
            self.bucket.delete_all(keys).await?;
        }
        Ok(enrolled)
    }

    async fn remove(&self, student: &StudentId) -> Result<usize, StoreError> {
        let mut removed = self.erase(student, "#id = :id", |_| true).await?;
        // What was dropped into the bucket, or it would be enrolled again.
        let mut dropped = Vec::new();
        for folder in ["known_faces", "reports"] {
            dropped.extend(self.bucket.list(&format!("{folder}/{student}/")).await?.into_iter().map(|(key, _)| key));
        }
        self.bucket.delete_all(dropped).await?;
        // Once more for what was enrolled from there meanwhile. From now on whoever is about to finds nothing there.
        removed += self.erase(student, "#id = :id", |_| true).await?;
        self.finish_erasing(student).await?;
        Ok(removed)
    }

    async fn changes(
        &self,
        since: &GalleryVersion,
        model: &ModelId,
    ) -> Result<(Vec<Change>, GalleryVersion), StoreError> {
        if since.0.len() == SHARDS {
            return self.changes_after(&since.0, model).await;
        }
        if !since.0.is_empty() {
            return Err(StoreError::damaged("a version of another store"));
        }
        let Some(snapshot) = self.snapshot(model).await? else {
            return self.changes_after(&[0; SHARDS], model).await;
        };
        let version = snapshot.version.0.clone();
        let mut changes = snapshot.into_changes();
        let (since, now) = self.changes_after(&version, model).await?;
        changes.extend(since);
        Ok((changes, now))
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
