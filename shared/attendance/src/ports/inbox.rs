use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;
use crate::{PhotoDigest, Refusal, StudentId};

/// The key of an object in the inbox: `known_faces/` and a path, usually `<student_id>/<name>`.
///
/// Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InboxKey(Arc<str>);

impl InboxKey {
    /// What every key begins with.
    pub const FOLDER: &str = "known_faces/";

    /// The key, or `None` if it lies outside the inbox.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        key.starts_with(Self::FOLDER).then(|| Self(key.into()))
    }

    /// The key of the object with this name in the student's folder.
    #[must_use]
    pub fn of(student: &StudentId, name: &str) -> Self {
        Self(format!("{}{student}/{name}", Self::FOLDER).into())
    }

    /// The whole key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part below `known_faces/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0[Self::FOLDER.len()..]
    }
}

impl fmt::Display for InboxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells an object from the one that lay under its key before or lies there later. Opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRevision(pub String);

/// An object as it was read.
#[derive(Debug, Clone)]
pub struct InboxObject {
    /// Which object it is.
    pub revision: ObjectRevision,
    /// Its size in bytes.
    pub size: u64,
    /// Its bytes; `None` if there are more than was asked for.
    pub bytes: Option<Bytes>,
}

/// Pictures that people put under `known_faces/`, each enrolled for as long as it lies there.
///
/// The inbox shares its storage with a [`GalleryStore`](super::GalleryStore), which removes a student's objects and
/// reports together with the student.
///
/// Every adapter guarantees:
/// - **As of now.** What was put, replaced or removed before a call is seen by it.
/// - **As long as anything asks for it.** A picture stays enrolled until the last object that stands for it is
///   [assigned](Self::assign) another picture or none, and for good if it was also enrolled directly, before or after.
/// - **From the start.** A picture that was [enrolled](super::GalleryStore::enroll) for an object is the object's from
///   the moment it is stored: a caller that is killed right after leaves nothing that no later call would clean up.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// The object that lies under the key, with its bytes if there are at most `limit`; `None` if there is no object.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn read(&self, key: &InboxKey, limit: usize) -> Result<Option<InboxObject>, StoreError>;

    /// Which object lies under the key; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn revision(&self, key: &InboxKey) -> Result<Option<ObjectRevision>, StoreError>;

    /// Makes the object under this key stand for this picture of the student and for no other, or for none, and erases
    /// those of the student's pictures that nothing asks for any more. Returns false, having changed nothing, if the
    /// picture is not enrolled.
    ///
    /// # Errors
    /// [`StoreError`]; a repeat goes on where it stopped.
    async fn assign(
        &self,
        student: &StudentId,
        key: &InboxKey,
        picture: Option<PhotoDigest>,
    ) -> Result<bool, StoreError>;

    /// Leaves a report for whoever put the object there, or takes an earlier one away.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn report(&self, key: &InboxKey, refusal: Option<&Refusal>) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_in_the_inbox() {
        let key = InboxKey::parse("known_faces/siswaA/1.jpg").unwrap();
        assert_eq!((key.path(), key.to_string().as_str()), ("siswaA/1.jpg", "known_faces/siswaA/1.jpg"));
        assert_eq!(InboxKey::of(&StudentId::parse("siswaA").unwrap(), "1.jpg"), key);
        for elsewhere in ["", "known_faces", "photos/siswaA/1.jpg", "/known_faces/siswaA/1.jpg"] {
            assert_eq!(InboxKey::parse(elsewhere), None, "{elsewhere}");
        }
    }
}
