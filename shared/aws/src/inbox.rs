use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use attendance::ports::{Inbox, InboxKey, InboxObject, ObjectRevision, StoreError};
use attendance::{PhotoDigest, Refusal, StudentId};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::bucket::{Bucket, ObjectState, REPORTS, Upload};
use crate::gallery::DynamoGallery;

/// How long a presigned upload may begin.
const UPLOAD_VALID: Duration = Duration::from_secs(900);

/// The objects under `known_faces/` in the bucket, and the pictures in the gallery that they stand for.
pub struct S3Inbox {
    bucket: Bucket,
    gallery: Arc<DynamoGallery>,
}

impl S3Inbox {
    pub(crate) fn new(bucket: Bucket, gallery: Arc<DynamoGallery>) -> Self {
        Self { bucket, gallery }
    }

    /// The key in an S3 notification, decoded: a plus is a space, and `%XX` a byte of UTF-8. `None` if it is not so
    /// encoded.
    #[must_use]
    pub fn decode_key(encoded: &str) -> Option<String> {
        let is_byte = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
        let escapes = encoded.split('%').skip(1);
        if !escapes.map(str::as_bytes).all(|escape| escape.get(..2).is_some_and(is_byte)) {
            return None;
        }
        let spaced = encoded.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().ok().map(|key| key.into_owned())
    }

    /// The request by which a client itself puts one picture of this size and type under the key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn presign(&self, key: &InboxKey, content_type: &str, size: u64) -> Result<Upload, StoreError> {
        self.bucket.presign(key.as_str(), content_type, size, UPLOAD_VALID).await
    }
}

fn revision(state: &ObjectState) -> ObjectRevision {
    ObjectRevision(format!("{} {}", state.size, state.etag))
}

#[async_trait]
impl Inbox for S3Inbox {
    async fn read(&self, key: &InboxKey, limit: usize) -> Result<Option<InboxObject>, StoreError> {
        let Some(state) = self.bucket.state(key.as_str()).await? else { return Ok(None) };
        if state.size > limit as u64 {
            return Ok(Some(InboxObject { revision: revision(&state), size: state.size, bytes: None }));
        }
        let object = self.bucket.get(key.as_str()).await?;
        Ok(object.map(|(state, bytes)| InboxObject {
            revision: revision(&state),
            size: state.size,
            bytes: Some(bytes),
        }))
    }

    async fn revision(&self, key: &InboxKey) -> Result<Option<ObjectRevision>, StoreError> {
        Ok(self.bucket.state(key.as_str()).await?.as_ref().map(revision))
    }

    async fn assign(
        &self,
        student: &StudentId,
        key: &InboxKey,
        picture: Option<PhotoDigest>,
    ) -> Result<bool, StoreError> {
        self.gallery.assign(student, key, picture).await
    }

    async fn report(&self, key: &InboxKey, refusal: Option<&Refusal>) -> Result<(), StoreError> {
        let file = key.path();
        let object = format!("{REPORTS}{file}.json");
        let Some(Refusal { code, msg }) = refusal else { return self.bucket.delete_all(vec![object]).await };
        let report = json!({"ok": false, "file": file, "code": code.to_string(), "msg": msg});
        self.bucket.put(&object, "application/json", report.to_string().into()).await
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
            assert_eq!(S3Inbox::decode_key(encoded).as_deref(), Some(key), "{encoded}");
        }
        for wrong in ["%", "%4", "%zz", "%ff", "%C3", "%4é"] {
            assert_eq!(S3Inbox::decode_key(wrong), None, "{wrong}");
        }
    }
}
