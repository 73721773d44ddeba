use std::sync::Arc;

use crate::bulk::entry::{BulkEntry, MAX_PICTURE_BYTES};
use crate::ports::{EnrollmentOrigin, Inbox, InboxKey, InboxObject, Push, ScanError, StoreError};
use crate::{Clock, EnrollError, Enroller, Message, PhotoDigest, Refusal, StudentId};

/// How often an object is looked at again because it, or its student, changed while it was being enrolled.
const ATTEMPTS: usize = 10;

/// Why an object could not be brought to its end. None of these is the object's fault, so a later try may succeed.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// The picture could not be scanned or stored.
    #[error(transparent)]
    Enroll(EnrollError),
    /// The inbox does not answer.
    #[error(transparent)]
    Inbox(#[from] StoreError),
    /// The object was replaced, or its student erased, every time it was looked at.
    #[error("{0} changes faster than it can be enrolled")]
    KeepsChanging(InboxKey),
}

/// Makes what is enrolled agree with what lies in the inbox.
///
/// A notification says only that something happened to a key. What counts is what lies there now, so notifications may
/// come late, repeatedly and in any order, and the outcome is the same.
pub struct BulkEnroller {
    inbox: Arc<dyn Inbox>,
    enroller: Arc<Enroller>,
    push: Arc<dyn Push>,
    clock: Arc<dyn Clock>,
}

impl BulkEnroller {
    /// A bulk enroller over these ports. `enroller` stores into the gallery that shares its storage with `inbox`.
    pub(crate) fn new(
        inbox: Arc<dyn Inbox>,
        enroller: Arc<Enroller>,
        push: Arc<dyn Push>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { inbox, enroller, push, clock }
    }

    /// Enrols the object under this key, or forgets what it stood for if it is gone. A refused object leaves a report,
    /// and subscribers are told. Keys outside the inbox, and files that nobody meant to enrol, are ignored.
    ///
    /// # Errors
    /// [`BulkError`]; a repeat goes on where it stopped.
    pub async fn reconcile(&self, key: &str) -> Result<(), BulkError> {
        let Some(key) = InboxKey::parse(key) else { return Ok(()) };
        match BulkEntry::of(key.path()) {
            BulkEntry::Ignored => Ok(()),
            BulkEntry::Picture(student) => self.reconcile_picture(&student, &key).await,
            BulkEntry::Refused(refusal) => {
                let refusal = self.inbox.revision(&key).await?.map(|_| refusal);
                self.conclude(&key, refusal).await
            }
        }
    }

    async fn reconcile_picture(&self, student: &StudentId, key: &InboxKey) -> Result<(), BulkError> {
        for _ in 0..ATTEMPTS {
            let object = self.inbox.read(key, MAX_PICTURE_BYTES).await?;
            let (picture, refusal) = match &object {
                None => (None, None),
                Some(object) => match self.enroll(student, key, object).await? {
                    Ok(picture) => (Some(picture), None),
                    Err(refusal) => (None, Some(refusal)),
                },
            };
            // Otherwise somebody erased the student just now, or replaced the object while it was being scanned.
            if self.inbox.assign(student, key, picture).await?
                && self.inbox.revision(key).await? == object.map(|object| object.revision)
            {
                return self.conclude(key, refusal).await;
            }
        }
        Err(BulkError::KeepsChanging(key.clone()))
    }

    /// The digest of the picture that is enrolled now, or why it is not.
    async fn enroll(
        &self,
        student: &StudentId,
        key: &InboxKey,
        object: &InboxObject,
    ) -> Result<Result<PhotoDigest, Refusal>, BulkError> {
        let outcome = match &object.bytes {
            Some(bytes) if bytes.is_empty() => Err(ScanError::Invalid { reason: "is empty".into() }.into()),
            Some(bytes) => {
                let origin = EnrollmentOrigin::Object(key.clone());
                self.enroller.enroll(student, bytes.clone(), origin).await.map(|_| PhotoDigest::of(bytes))
            }
            None => {
                let size = usize::try_from(object.size).unwrap_or(usize::MAX);
                Err(ScanError::TooManyBytes { size, limit: MAX_PICTURE_BYTES }.into())
            }
        };
        match outcome {
            Ok(picture) => Ok(Ok(picture)),
            Err(error) => error.refusal().map(Err).ok_or(BulkError::Enroll(error)),
        }
    }

    /// Leaves the report that belongs to the key now, if any.
    async fn conclude(&self, key: &InboxKey, refusal: Option<Refusal>) -> Result<(), BulkError> {
        self.inbox.report(key, refusal.as_ref()).await?;
        let Some(Refusal { code, msg }) = refusal else { return Ok(()) };
        let message = Message::Refused {
            file: key.path().to_owned(),
            code: code.to_string(),
            msg,
            ts: self.clock.now().seconds(),
        };
        if let Err(error) = self.push.publish(&message).await {
            tracing::warn!(%key, ?error, "could not tell the subscribers of a refusal");
        }
        Ok(())
    }
}
