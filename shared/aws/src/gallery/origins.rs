use std::time::Duration;

use attendance::ports::{Enrolled, EnrollmentOrigin, InboxKey, StoreError};
use attendance::{Clock, PhotoDigest, StudentId, SystemClock, Timestamp};
use aws_sdk_dynamodb::types::AttributeValue;

use super::DynamoGallery;
use super::erase::SAME;
use super::rows::{FaceRow, face_key, partition};
use crate::table::Expression;

/// When a picture without any origin was abandoned: longer than the function that enrolled it may run. Earlier versions
/// stored pictures so, and their origin a moment later.
const ABANDONED_AFTER: Duration = Duration::from_secs(120);

impl DynamoGallery {
    /// What this picture came to, which from now on lasts for this origin too; `None` if it was erased meanwhile.
    pub(super) async fn extend(
        &self,
        face: &FaceRow,
        origin: &EnrollmentOrigin,
    ) -> Result<Option<Enrolled>, StoreError> {
        let lasts = match origin {
            EnrollmentOrigin::Direct => face.direct,
            EnrollmentOrigin::Object(key) => face.sources.iter().any(|source| source == key.as_str()),
        };
        let there = lasts || self.add_origin(&face.pk, &face.sk, origin).await?;
        Ok(there.then_some(Enrolled { saved: face.saved, new: false }))
    }

    /// Makes the object under this key stand for this picture of the student and for no other, or for none. Returns
    /// false, having changed nothing, if the picture is not enrolled.
    pub(crate) async fn assign(
        &self,
        student: &StudentId,
        key: &InboxKey,
        picture: Option<PhotoDigest>,
    ) -> Result<bool, StoreError> {
        let pk = partition(student);
        let assigned = picture.map(|digest| face_key(student, digest));
        if let Some(sk) = &assigned
            && !self.add_origin(&pk, sk, &EnrollmentOrigin::Object(key.clone())).await?
        {
            return Ok(false);
        }
        for face in self.faces(student).await? {
            if assigned.as_deref() != Some(&face.sk) && face.sources.iter().any(|source| source == key.as_str()) {
                self.remove_source(&pk, &face.sk, key).await?;
            }
        }
        self.erase_unwanted(student).await?;
        Ok(true)
    }

    /// Notes that this origin asks for the picture, and returns false if there is no such picture.
    async fn add_origin(&self, pk: &str, sk: &str, origin: &EnrollmentOrigin) -> Result<bool, StoreError> {
        let update = match origin {
            EnrollmentOrigin::Direct => "SET #direct = :yes",
            EnrollmentOrigin::Object(_) => "ADD #sources :key SET #sourced = :yes",
        };
        let mut expression = Expression::new(update, Some("attribute_exists(#pk)"));
        expression = expression.value("yes", AttributeValue::Bool(true));
        if let EnrollmentOrigin::Object(key) = origin {
            expression = expression.value("key", set_of(key));
        }
        Ok(self.table.update_row(pk, sk, expression).await?.is_some())
    }

    /// Notes that the object no longer asks for the picture.
    async fn remove_source(&self, pk: &str, sk: &str, key: &InboxKey) -> Result<(), StoreError> {
        let condition = "attribute_exists(#pk) AND #sourced = :yes";
        let expression = Expression::new("DELETE #sources :key", Some(condition))
            .value("key", set_of(key))
            .value("yes", AttributeValue::Bool(true));
        self.table.update_row(pk, sk, expression).await?;
        Ok(())
    }

    /// Erases those of the student's pictures that nothing asks for any more.
    async fn erase_unwanted(&self, student: &StudentId) -> Result<(), StoreError> {
        let now = SystemClock.now();
        let abandoned = |face: &FaceRow| now.since(Timestamp::from_millis(face.at)) > ABANDONED_AFTER;
        let unwanted = |face: &FaceRow| !face.direct && face.sources.is_empty() && (face.sourced || abandoned(face));
        let still = format!("{SAME} AND attribute_not_exists(#sources) AND attribute_not_exists(#direct)");
        if self.erase(student, &still, unwanted).await? > 0 {
            self.finish_erasing(student).await?;
        }
        Ok(())
    }
}

fn set_of(key: &InboxKey) -> AttributeValue {
    AttributeValue::Ss(vec![key.to_string()])
}
