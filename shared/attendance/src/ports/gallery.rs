use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::{InboxKey, StoreError};
use crate::{Embedding, ModelId, PhotoDigest, PhotoFormat, StudentId, Timestamp};

/// The identifier of one stored enrolment, that is of one picture of one student. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnrollmentId(pub u128);

impl EnrollmentId {
    /// A new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7().as_u128())
    }
}

/// Who asks for an enrolment, and thereby how long it lasts.
///
/// Only a store with an [`Inbox`](super::Inbox) tells the two apart. Any other keeps every enrolment until its student
/// is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrollmentOrigin {
    /// A person or a program, directly: the enrolment lasts until the student is removed.
    Direct,
    /// An object in the inbox: the enrolment lasts as long as the object stands for it.
    Object(InboxKey),
}

/// One picture's faces, to be stored for one student.
#[derive(Debug, Clone)]
pub struct Enrollment {
    /// Its identifier.
    pub id: EnrollmentId,
    /// The student.
    pub student: StudentId,
    /// The SHA-256 of what was enrolled.
    pub digest: PhotoDigest,
    /// Who asks for it.
    pub origin: EnrollmentOrigin,
    /// The picture as it came, with its format; `None` for embeddings imported without one.
    pub photo: Option<(PhotoFormat, Bytes)>,
    /// The model that made the embeddings.
    pub model: ModelId,
    /// The embeddings, at least one, each with its crop (JPEG, 150 x 150) if there is one.
    pub faces: Vec<(Embedding, Option<Bytes>)>,
    /// The time of the enrolment.
    pub at: Timestamp,
}

/// What an enrolment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enrolled {
    /// Embeddings stored for this picture, now or by the enrolment it repeats.
    pub saved: usize,
    /// Whether this call stored them.
    pub new: bool,
}

/// A place in the stream of gallery changes: one counter per shard, in the adapter's order. The default is the
/// beginning, before everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GalleryVersion(pub Vec<u64>);

/// One change of the gallery.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Change {
    Add { id: EnrollmentId, student: StudentId, embeddings: Vec<Embedding> },
    Remove { id: EnrollmentId },
}

/// How much is enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GalleryCounts {
    /// Embeddings.
    pub encodings: usize,
    /// Students.
    pub labels: usize,
}

/// Keeps who is enrolled: embeddings, pictures and crops.
///
/// Every adapter guarantees:
/// - **Durable before acknowledged.** When [`enroll`](Self::enroll) returns, the pictures and the embeddings survive a
///   crash. Pictures are durable before the embeddings become visible, so an embedding without its picture never
///   exists. What a crash left of unfinished enrolments is removed at the next start.
/// - **Seen at once.** What was acknowledged before [`changes`](Self::changes) is called is in its answer, whichever
///   process acknowledged it.
/// - **Once.** Of equal enrolments (same student, same digest), also concurrent ones, one is stored; all return its
///   `saved`, and it lasts for all their origins.
/// - **All or nothing.** An error leaves no trace that a reader could see. A removal and an enrolment of one student
///   that run side by side end as if one came after the other.
#[async_trait]
pub trait GalleryStore: Send + Sync {
    /// What is stored for this picture of this student; `None` if nothing is. A picture that only objects ask for is not
    /// found for [`EnrollmentOrigin::Direct`] either: it takes an enrolment to make it last.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn find(
        &self,
        student: &StudentId,
        digest: &PhotoDigest,
        origin: &EnrollmentOrigin,
    ) -> Result<Option<Enrolled>, StoreError>;

    /// Stores the enrolment. If an equal one is stored already, makes that one last for this origin too and returns
    /// what it came to.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn enroll(&self, enrollment: Enrollment) -> Result<Enrolled, StoreError>;

    /// Erases everything of this student and returns the number of embeddings erased, 0 for a student who is not
    /// enrolled. Pictures and crops are gone when it returns.
    ///
    /// # Errors
    /// [`StoreError`]; a repeat goes on where it stopped.
    async fn remove(&self, student: &StudentId) -> Result<usize, StoreError>;

    /// The changes after `since` to embeddings of this model, and the version they lead to. Costs one small read if
    /// nothing changed. An enrolment that was added and removed since may be absent.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn changes(
        &self,
        since: &GalleryVersion,
        model: &ModelId,
    ) -> Result<(Vec<Change>, GalleryVersion), StoreError>;

    /// The number of embeddings and of students, without reading all of them if the store can.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn counts(&self) -> Result<GalleryCounts, StoreError>;

    /// Every student with the number of embeddings, by student id.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn students(&self) -> Result<Vec<(StudentId, usize)>, StoreError>;
}
