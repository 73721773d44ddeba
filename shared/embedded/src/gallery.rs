use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use attendance::ports::{
    Change, Enrolled, Enrollment, EnrollmentId, EnrollmentOrigin, GalleryCounts, GalleryStore, GalleryVersion,
    StoreError,
};
use attendance::{ModelId, PhotoDigest, StudentId};
use rusqlite::{Connection, OptionalExtension, params};

use crate::connections::{Commit, Connections, blocking, millis, store_error};
use crate::folder::{FaceFolder, crop_name};

/// Who is enrolled, in SQLite, with the pictures in a folder. Without an inbox beside it, it keeps every enrolment until
/// its student is removed, whatever its origin.
///
/// Its [`GalleryVersion`] is one counter: the number of the last change.
pub struct SqliteGallery {
    inner: Arc<Inner>,
}

struct Inner {
    connections: Arc<Connections>,
    folder: FaceFolder,
}

impl SqliteGallery {
    pub(crate) fn new(connections: Arc<Connections>, folder: FaceFolder) -> Self {
        Self { inner: Arc::new(Inner { connections, folder }) }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.inner.clone();
        blocking(move || work(&inner)).await
    }
}

#[async_trait]
impl GalleryStore for SqliteGallery {
    async fn find(
        &self,
        student: &StudentId,
        digest: &PhotoDigest,
        _: &EnrollmentOrigin,
    ) -> Result<Option<Enrolled>, StoreError> {
        let (student, digest) = (student.clone(), *digest);
        self.run(move |inner| inner.connections.read(|db| find(db, &student, &digest))).await
    }

    async fn enroll(&self, enrollment: Enrollment) -> Result<Enrolled, StoreError> {
        self.run(move |inner| {
            let _shared = inner.folder.lock_shared()?;
            let photos = inner.folder.stage(&enrollment).map_err(StoreError::unavailable)?;
            inner.connections.write(Commit::Durable, |db| {
                if let Some(equal) = find(db, &enrollment.student, &enrollment.digest)? {
                    return Ok(equal);
                }
                let enrolled = insert(db, &enrollment)?;
                // Last before the commit: whoever loses the race for an equal enrolment never touches the winner's files.
                photos.publish().map_err(StoreError::unavailable)?;
                Ok(enrolled)
            })
        })
        .await
    }

    async fn remove(&self, student: &StudentId) -> Result<usize, StoreError> {
        let student = student.clone();
        self.run(move |inner| {
            let _exclusive = inner.folder.lock_exclusive()?;
            // The rows first: an embedding without its picture must not exist, and what a crash leaves of the pictures is
            // swept.
            let removed = inner.connections.write(Commit::Durable, |db| delete(db, &student))?;
            inner.folder.remove(&student).map_err(StoreError::unavailable)?;
            inner.connections.empty_log()?;
            Ok(removed)
        })
        .await
    }

    async fn changes(
        &self,
        since: &GalleryVersion,
        model: &ModelId,
    ) -> Result<(Vec<Change>, GalleryVersion), StoreError> {
        let since = match since.0.as_slice() {
            [] => 0,
            [seq] => *seq,
            _ => return Err(StoreError::damaged("a version of another store")),
        };
        let model = model.clone();
        self.run(move |inner| inner.connections.read(|db| changes(db, since, &model))).await
    }

    async fn counts(&self) -> Result<GalleryCounts, StoreError> {
        self.run(|inner| {
            inner.connections.read(|db| {
                let mut statement =
                    db.prepare_cached("SELECT encodings, labels FROM gallery WHERE id = 1").map_err(store_error)?;
                statement
                    .query_row([], |row| Ok(GalleryCounts { encodings: row.get(0)?, labels: row.get(1)? }))
                    .map_err(store_error)
            })
        })
        .await
    }

    async fn students(&self) -> Result<Vec<(StudentId, usize)>, StoreError> {
        self.run(|inner| {
            inner.connections.read(|db| {
                let mut statement = db
                    .prepare_cached("SELECT student, sum(saved) FROM enrollment GROUP BY student ORDER BY student")
                    .map_err(store_error)?;
                let rows = statement
                    .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, usize>(1)?)))
                    .map_err(store_error)?;
                rows.map(|row| {
                    let (student, saved) = row.map_err(store_error)?;
                    Ok((StudentId::parse(&student).map_err(StoreError::damaged)?, saved))
                })
                .collect()
            })
        })
        .await
    }
}

/// Deletes pictures and crops that no row knows. The caller holds the folder's lock exclusively.
pub(crate) fn sweep(connections: &Connections, folder: &FaceFolder) -> Result<(), StoreError> {
    let deleted = connections.read(|db| folder.sweep(|student| file_names(db, student)))?;
    if deleted > 0 {
        tracing::info!(deleted, "removed pictures of enrolments that were never finished");
    }
    Ok(())
}

/// The names of the files that the student's rows know.
fn file_names(db: &Connection, student: &StudentId) -> Result<HashSet<String>, StoreError> {
    let mut names = HashSet::new();
    let mut photos = db
        .prepare_cached(
            "SELECT digest || '.' || extension FROM enrollment WHERE student = ?1 AND extension IS NOT NULL",
        )
        .map_err(store_error)?;
    for name in photos.query_map([student.as_str()], |row| row.get(0)).map_err(store_error)? {
        names.insert(name.map_err(store_error)?);
    }
    let mut crops = db
        .prepare_cached(
            "SELECT digest, n FROM enrollment JOIN embedding ON enrollment = seq WHERE student = ?1 AND crop = 1",
        )
        .map_err(store_error)?;
    let crops = crops
        .query_map([student.as_str()], |row| Ok(crop_name(&row.get::<_, String>(0)?, row.get(1)?)))
        .map_err(store_error)?;
    for name in crops {
        names.insert(name.map_err(store_error)?);
    }
    Ok(names)
}

fn find(db: &Connection, student: &StudentId, digest: &PhotoDigest) -> Result<Option<Enrolled>, StoreError> {
    let mut statement =
        db.prepare_cached("SELECT saved FROM enrollment WHERE student = ?1 AND digest = ?2").map_err(store_error)?;
    let saved = statement
        .query_row(params![student.as_str(), digest.to_string()], |row| row.get(0))
        .optional()
        .map_err(store_error)?;
    Ok(saved.map(|saved| Enrolled { saved, new: false }))
}

fn insert(db: &Connection, enrollment: &Enrollment) -> Result<Enrolled, StoreError> {
    let student = enrollment.student.as_str();
    let saved = enrollment.faces.len();
    let known: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM enrollment WHERE student = ?1)")
        .and_then(|mut s| s.query_row([student], |row| row.get(0)))
        .map_err(store_error)?;
    let seq: u64 = db
        .prepare_cached(
            "UPDATE gallery SET seq = seq + 1, encodings = encodings + ?1, labels = labels + ?2 WHERE id = 1
             RETURNING seq",
        )
        .and_then(|mut s| s.query_row(params![saved, i64::from(!known)], |row| row.get(0)))
        .map_err(store_error)?;
    db.prepare_cached(
        "INSERT INTO enrollment (seq, id, student, digest, extension, model, saved, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .and_then(|mut s| {
        s.execute(params![
            seq,
            enrollment.id.0.to_be_bytes(),
            student,
            enrollment.digest.to_string(),
            enrollment.photo.as_ref().map(|(format, _)| format.extension()),
            enrollment.model.as_str(),
            saved,
            millis(enrollment.at),
        ])
    })
    .map_err(store_error)?;
    let mut statement = db
        .prepare_cached("INSERT INTO embedding (enrollment, n, vector, crop) VALUES (?1, ?2, ?3, ?4)")
        .map_err(store_error)?;
    for (n, (embedding, crop)) in enrollment.faces.iter().enumerate() {
        statement.execute(params![seq, n, embedding.to_bytes(), crop.is_some()]).map_err(store_error)?;
    }
    Ok(Enrolled { saved, new: true })
}

fn delete(db: &Connection, student: &StudentId) -> Result<usize, StoreError> {
    let student = student.as_str();
    let mut statement =
        db.prepare_cached("SELECT id, saved FROM enrollment WHERE student = ?1 ORDER BY seq").map_err(store_error)?;
    let enrollments: Vec<([u8; 16], usize)> = statement
        .query_map([student], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .map_err(store_error)?;
    let removed: usize = enrollments.iter().map(|(_, saved)| saved).sum();
    if enrollments.is_empty() {
        return Ok(0);
    }
    let last: u64 = db
        .prepare_cached(
            "UPDATE gallery SET seq = seq + ?1, encodings = encodings - ?2, labels = labels - 1 WHERE id = 1
             RETURNING seq",
        )
        .and_then(|mut s| s.query_row(params![enrollments.len(), removed], |row| row.get(0)))
        .map_err(store_error)?;
    let first = last + 1 - enrollments.len() as u64;
    let mut tombstone =
        db.prepare_cached("INSERT INTO removal (seq, enrollment_id) VALUES (?1, ?2)").map_err(store_error)?;
    for (seq, (id, _)) in (first..).zip(&enrollments) {
        tombstone.execute(params![seq, id]).map_err(store_error)?;
    }
    db.prepare_cached("DELETE FROM enrollment WHERE student = ?1")
        .and_then(|mut s| s.execute([student]))
        .map_err(store_error)?;
    Ok(removed)
}

fn changes(db: &Connection, since: u64, model: &ModelId) -> Result<(Vec<Change>, GalleryVersion), StoreError> {
    let seq: u64 = db
        .prepare_cached("SELECT seq FROM gallery WHERE id = 1")
        .and_then(|mut s| s.query_row([], |row| row.get(0)))
        .map_err(store_error)?;
    let version = GalleryVersion(vec![seq]);
    if seq == since {
        return Ok((Vec::new(), version));
    }
    if since > seq {
        return Err(StoreError::damaged("the database is older than what was read from it before"));
    }
    let mut changes: Vec<Change> = Vec::new();
    let mut statement = db
        .prepare_cached(
            "SELECT enrollment.id, student, vector FROM enrollment JOIN embedding ON embedding.enrollment = enrollment.seq
             WHERE enrollment.seq > ?1 AND model = ?2 ORDER BY enrollment.seq, n",
        )
        .map_err(store_error)?;
    let mut rows = statement.query(params![since, model.as_str()]).map_err(store_error)?;
    while let Some(row) = rows.next().map_err(store_error)? {
        let next = EnrollmentId(u128::from_be_bytes(row.get(0).map_err(store_error)?));
        let bytes = row.get_ref(2).and_then(|value| Ok(value.as_blob()?)).map_err(store_error)?;
        let embedding = model.read_embedding(bytes).map_err(StoreError::damaged)?;
        match changes.last_mut() {
            Some(Change::Add { id, embeddings, .. }) if *id == next => embeddings.push(embedding),
            _ => {
                let student = row.get_ref(1).and_then(|value| Ok(value.as_str()?)).map_err(store_error)?;
                let student = StudentId::parse(student).map_err(StoreError::damaged)?;
                changes.push(Change::Add { id: next, student, embeddings: vec![embedding] });
            }
        }
    }
    // A reader who starts from nothing has nothing to forget.
    if since > 0 {
        let mut statement =
            db.prepare_cached("SELECT enrollment_id FROM removal WHERE seq > ?1 ORDER BY seq").map_err(store_error)?;
        let removed = statement.query_map([since], |row| row.get(0)).map_err(store_error)?;
        for id in removed {
            changes.push(Change::Remove { id: EnrollmentId(u128::from_be_bytes(id.map_err(store_error)?)) });
        }
    }
    Ok((changes, version))
}
