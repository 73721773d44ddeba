use std::sync::Arc;
use std::time::Duration;

use attendance::ports::StoreError;
use attendance::{Clock, PhotoDigest, StudentId, SystemClock, Timestamp};
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use crate::gallery::{DynamoGallery, face_key, partition};
use crate::objects::{Bucket, ObjectState, Upload};
use crate::table::{Row, Written, key, number, text, texts};

/// When an enrolment that no key stands for was abandoned: longer than the function that makes it may run.
const ABANDONED_AFTER: Duration = Duration::from_secs(120);

/// How long a presigned upload may begin.
const UPLOAD_VALID: Duration = Duration::from_secs(900);

/// The pictures that were dropped into the bucket under `known_faces/`, and which embeddings stand for them.
///
/// A notification only says that something happened to a key. What is true is what lies there now, so a key is
/// [`read`](Self::read), settled, and looked at [once more](Self::is_as_read): notifications may come late, repeatedly
/// and in any order, and the end is the same.
#[derive(Clone)]
pub struct Inbox {
    bucket: Bucket,
    gallery: Arc<DynamoGallery>,
}

/// What lies under a key.
#[derive(Debug, Clone)]
pub struct InboxObject {
    state: ObjectState,
    /// Its bytes; `None` where it is larger than was asked for.
    pub bytes: Option<Bytes>,
}

impl InboxObject {
    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.state.size
    }
}

impl Inbox {
    /// Where pictures are dropped.
    pub const FOLDER: &'static str = "known_faces/";

    pub(crate) fn new(bucket: Bucket, gallery: Arc<DynamoGallery>) -> Self {
        Self { bucket, gallery }
    }

    /// The key in an S3 notification, decoded, or `None` where it is no text: a plus is a space, then `%XX`.
    #[must_use]
    pub fn decode_key(encoded: &str) -> Option<String> {
        let mut bytes = Vec::with_capacity(encoded.len());
        let mut rest = encoded.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let mut digit = || char::from(rest.next()?).to_digit(16);
                    u8::try_from(digit()? * 16 + digit()?).ok()?
                }
                byte => byte,
            });
        }
        String::from_utf8(bytes).ok()
    }

    /// What lies under the key now, its bytes up to `limit`; `None` where nothing does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read(&self, key: &str, limit: u64) -> Result<Option<InboxObject>, StoreError> {
        match self.bucket.state(key).await? {
            None => Ok(None),
            Some(state) if state.size > limit => Ok(Some(InboxObject { state, bytes: None })),
            Some(_) => {
                let object = self.bucket.get(key).await?;
                Ok(object.map(|(state, bytes)| InboxObject { state, bytes: Some(bytes) }))
            }
        }
    }

    /// Whether what was read still lies there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_as_read(&self, key: &str, read: Option<&InboxObject>) -> Result<bool, StoreError> {
        Ok(self.bucket.state(key).await? == read.map(|object| object.state.clone()))
    }

    /// Makes the embeddings of the picture with this digest, and no others, stand for the key; none where there is no
    /// digest. Embeddings that no key stands for any more are erased, unless somebody enrolled the picture directly.
    /// Returns false, and has changed nothing, where the picture is not enrolled any more.
    ///
    /// # Errors
    /// [`StoreError`]; a repeat goes on where it stopped.
    pub async fn settle(
        &self,
        student: &StudentId,
        object_key: &str,
        digest: Option<PhotoDigest>,
    ) -> Result<bool, StoreError> {
        let current = digest.map(|digest| face_key(student, digest));
        if let Some(sk) = &current {
            let exists = "attribute_exists(pk)";
            if self.change_sources(student, sk, "ADD sources :key SET sourced = :yes", exists, object_key).await?
                != Written::Yes
            {
                return Ok(false);
            }
        }
        for row in self.gallery.faces(student).await? {
            let sk = text(&row, "sk")?;
            if current.as_deref() != Some(sk) && texts(&row, "sources").iter().any(|source| source == object_key) {
                let exists = "attribute_exists(pk) AND sourced = :yes";
                self.change_sources(student, sk, "DELETE sources :key", exists, object_key).await?;
            }
        }
        let now = SystemClock.now();
        let abandoned =
            |row: &Row| number(row, "at").is_ok_and(|at| now.since(Timestamp::from_millis(at)) > ABANDONED_AFTER);
        let unwanted = |row: &Row| {
            let kept = row.contains_key("sources") || row.contains_key("direct");
            // One that never had a key may be about to get its first.
            !kept && (row.contains_key("sourced") || abandoned(row))
        };
        let still = "#id = :id AND attribute_not_exists(#sources) AND attribute_not_exists(#direct)";
        if self.gallery.erase(student, still, unwanted).await? > 0 {
            self.gallery.finish_erasing(student).await?;
        }
        Ok(true)
    }

    async fn change_sources(
        &self,
        student: &StudentId,
        sk: &str,
        update: &str,
        condition: &str,
        object_key: &str,
    ) -> Result<Written, StoreError> {
        let table = &self.gallery.table;
        let update = table
            .client
            .update_item()
            .table_name(&table.name)
            .set_key(Some(key(&partition(student), sk)))
            .update_expression(update)
            .condition_expression(condition)
            .expression_attribute_values(":key", AttributeValue::Ss(vec![object_key.to_owned()]))
            .expression_attribute_values(":yes", AttributeValue::Bool(true));
        Ok(table.write_one(|| update.clone().send()).await?.0)
    }

    /// Leaves a report for whoever dropped the picture, `reports/<student>/<name>.json`, or takes an old one away.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn report(&self, path: &str, report: Option<&serde_json::Value>) -> Result<(), StoreError> {
        let key = format!("reports/{path}.json");
        match report {
            Some(report) => self.bucket.put(&key, "application/json", report.to_string().into()).await,
            None => self.bucket.delete_all(vec![key]).await,
        }
    }

    /// A request by which a client puts one picture into the bucket himself, from where it is enrolled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn presign(
        &self,
        student: &StudentId,
        name: &str,
        content_type: &str,
        size: u64,
    ) -> Result<Upload, StoreError> {
        let key = format!("{}{student}/{name}", Self::FOLDER);
        self.bucket.presign(&key, content_type, size, UPLOAD_VALID).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_decoded_as_s3_encodes_them() {
        for (encoded, key) in [
            ("known_faces/siswaA/1.jpg", "known_faces/siswaA/1.jpg"),
            ("known_faces/siswaA/a+b%2Bu.jpg", "known_faces/siswaA/a b+u.jpg"),
            ("known_faces/siswaA/a%20b%2Bu.jpg", "known_faces/siswaA/a b+u.jpg"),
            ("known_faces/siswaA/%C3%A9~%281%29.jpg", "known_faces/siswaA/é~(1).jpg"),
            ("100%25.jpg", "100%.jpg"),
        ] {
            assert_eq!(Inbox::decode_key(encoded).as_deref(), Some(key), "{encoded}");
        }
        for wrong in ["%", "%4", "%zz", "%ff", "%C3"] {
            assert_eq!(Inbox::decode_key(wrong), None, "{wrong}");
        }
    }
}
