use attendance::PhotoFormat;
use attendance::ports::{Enrolled, Enrollment, EnrollmentOrigin, StoreError};
use bytes::Bytes;
use uuid::Uuid;

use super::DynamoGallery;
use super::rows::{FaceRow, Shard, VERSION, count_student, face_key, hex, partition, student_key};
use crate::backoff::Backoff;
use crate::bucket::PHOTOS;
use crate::table::{NotCommitted, from_row, key, size, text, to_row};

/// The objects of an enrolment: key, content type, bytes.
pub(super) fn pictures(enrollment: &Enrollment) -> Vec<(String, &'static str, Bytes)> {
    let Enrollment { id, student, digest, photo, faces, .. } = enrollment;
    let name = format!("{PHOTOS}{student}/{digest}-{}", hex(*id));
    let photo = photo.iter().map(|(format, bytes)| {
        let extension = format.extension();
        let content_type = match format {
            PhotoFormat::Jpeg => "image/jpeg",
            PhotoFormat::Png => "image/png",
            PhotoFormat::WebP => "image/webp",
        };
        (format!("{name}.{extension}"), content_type, bytes.clone())
    });
    let crops = faces.iter().enumerate().filter_map(|(n, (_, crop))| {
        crop.as_ref().map(|crop| (format!("{name}-{n}.face.jpg"), "image/jpeg", crop.clone()))
    });
    photo.chain(crops).collect()
}

/// The row of an enrolment whose pictures lie under these keys; the change that adds it has no number yet.
fn face_row(enrollment: &Enrollment, objects: Vec<String>) -> FaceRow {
    let Enrollment { id, student, digest, origin, model, faces, at, .. } = enrollment;
    let (direct, sources) = match origin {
        EnrollmentOrigin::Direct => (true, Vec::new()),
        EnrollmentOrigin::Object(key) => (false, vec![key.to_string()]),
    };
    FaceRow {
        pk: partition(student),
        sk: face_key(student, digest),
        id: hex(*id),
        student: student.to_string(),
        model: model.as_str().to_owned(),
        saved: faces.len(),
        at: at.millis(),
        vectors: faces.iter().flat_map(|(embedding, _)| embedding.to_bytes()).collect(),
        version: 0,
        objects,
        direct,
        sourced: !sources.is_empty(),
        sources,
    }
}

impl DynamoGallery {
    /// Commits the rows of an enrolment whose pictures lie under these keys.
    pub(super) async fn commit(&self, enrollment: &Enrollment, objects: Vec<String>) -> Result<Enrolled, StoreError> {
        let student = &enrollment.student;
        let mut face = face_row(enrollment, objects);
        let mut backoff = Backoff::new();
        loop {
            let keys = [VERSION.to_owned(), student_key(student), face.sk.clone()];
            let rows = self.table.get_each(keys.iter().map(|sk| key(&face.pk, sk)).collect()).await?;
            let row = |sk: &str| rows.iter().find(|row| text(row, "sk").is_ok_and(|found| found == sk));
            if let Some(equal) = row(&face.sk) {
                let equal: FaceRow = from_row(equal.clone())?;
                if let Some(enrolled) = self.extend(&equal, &enrollment.origin).await? {
                    // It is ours if the answer to the commit was lost.
                    return Ok(Enrolled { new: equal.id == face.id, ..enrolled });
                }
                continue;
            }
            let shard = row(VERSION).map_or(Ok(Shard::default()), Shard::read)?;
            let of_student = row(&keys[1]).map(|row| size(row, "saved")).transpose()?;
            let next = Shard {
                version: shard.version + 1,
                encodings: shard.encodings + face.saved,
                labels: shard.labels + usize::from(of_student.is_none()),
            };
            face.version = next.version;
            let to = of_student.unwrap_or_default() + face.saved;
            let writes = vec![
                shard.moved_to(next, &self.table, &face.pk),
                self.table.put(to_row(&face), Some("attribute_not_exists(pk)")),
                count_student(&self.table, &face.pk, student, of_student, to),
            ];
            match self.table.transact(writes, &Uuid::now_v7().to_string()).await {
                Ok(()) => return Ok(Enrolled { saved: face.saved, new: true }),
                Err(NotCommitted::Condition(_)) => backoff.wait().await?,
                Err(NotCommitted::Store(error)) => return Err(error),
            }
        }
    }
}
