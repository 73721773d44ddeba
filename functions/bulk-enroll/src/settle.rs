use std::sync::Arc;

use attendance::ports::{Push, ScanError};
use attendance::{BulkEntry, Clock, EnrollError, Enroller, Message, PhotoDigest, StudentId};
use attendance_aws::{Inbox, InboxObject};
use attendance_http::{ApiError, Code};
use lambda_runtime::Error;
use serde_json::json;

/// The largest picture, in bytes.
const LIMIT: usize = 20 << 20;

/// How often a key that changes under our hands is looked at again.
const TRIES: usize = 10;

/// Makes what is enrolled agree with what lies in the bucket.
pub(crate) struct Settler {
    pub(crate) inbox: Inbox,
    pub(crate) enroller: Arc<Enroller>,
    pub(crate) push: Arc<dyn Push>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why a picture is not enrolled, for whoever dropped it.
struct Refusal {
    code: Code,
    msg: String,
}

impl From<&ApiError> for Refusal {
    fn from(error: &ApiError) -> Self {
        Self { code: error.code(), msg: error.to_string() }
    }
}

impl Settler {
    /// Settles the key of a notification, whatever the notification says happened.
    pub(crate) async fn settle(&self, key: &str) -> Result<(), Error> {
        let Some(path) = key.strip_prefix(Inbox::FOLDER) else { return Ok(()) };
        match BulkEntry::of(path) {
            BulkEntry::Ignored => Ok(()),
            BulkEntry::Picture(student) => self.settle_picture(&student, key, path).await,
            BulkEntry::Refused(refusal) => {
                if self.inbox.read(key, 0).await?.is_none() {
                    return Ok(self.inbox.report(path, None).await?);
                }
                self.refuse(path, &Refusal::from(&ApiError::from(refusal))).await
            }
        }
    }

    async fn settle_picture(&self, student: &StudentId, key: &str, path: &str) -> Result<(), Error> {
        for _ in 0..TRIES {
            let object = self.inbox.read(key, LIMIT as u64).await?;
            let (digest, refusal) = match &object {
                None => (None, None),
                Some(object) => match self.enroll(student, object).await? {
                    Ok(digest) => (Some(digest), None),
                    Err(refusal) => (None, Some(refusal)),
                },
            };
            // Somebody erased the student just now, or the object was replaced while it was scanned: once more.
            if !self.inbox.settle(student, key, digest).await? || !self.inbox.is_as_read(key, object.as_ref()).await? {
                continue;
            }
            return match refusal {
                Some(refusal) => self.refuse(path, &refusal).await,
                None => Ok(self.inbox.report(path, None).await?),
            };
        }
        Err(format!("{key} changes faster than it can be enrolled").into())
    }

    /// The digest of what is enrolled now, or why it is not; an error where trying again may help.
    async fn enroll(&self, student: &StudentId, object: &InboxObject) -> Result<Result<PhotoDigest, Refusal>, Error> {
        let outcome = match &object.bytes {
            Some(bytes) if bytes.is_empty() => Err(EnrollError::from(ScanError::Invalid { reason: "is empty".into() })),
            Some(bytes) => self.enroller.enroll(student, bytes.clone()).await.map(|_| PhotoDigest::of(bytes)),
            None => {
                let size = usize::try_from(object.size()).unwrap_or(usize::MAX);
                Err(EnrollError::from(ScanError::TooManyBytes { size, limit: LIMIT }))
            }
        };
        match outcome.map_err(ApiError::from) {
            Ok(digest) => Ok(Ok(digest)),
            Err(error) if error.code().status().is_server_error() => Err(error.into()),
            Err(error) => Ok(Err((&error).into())),
        }
    }

    async fn refuse(&self, path: &str, refusal: &Refusal) -> Result<(), Error> {
        let Refusal { code, msg } = refusal;
        let report = json!({"ok": false, "file": path, "code": code, "msg": msg});
        self.inbox.report(path, Some(&report)).await?;
        let message = Message::Refused {
            file: path.to_owned(),
            code: code.word(),
            msg: msg.clone(),
            ts: self.clock.now().seconds(),
        };
        if let Err(error) = self.push.publish(&message).await {
            tracing::warn!(path, ?error, "watchers were not told of a refusal");
        }
        Ok(())
    }
}
