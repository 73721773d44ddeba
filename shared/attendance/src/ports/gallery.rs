use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::StoreError;
use crate::{Embedding, ModelId, PhotoDigest, PhotoFormat, StudentId, Timestamp};

/// Names one stored enrolment (one picture of one student). Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnrollmentId(pub u128);

impl EnrollmentId {
    /// A new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7().as_u128())
    }
}

/// One picture's faces, to be stored for one student.
#[derive(Debug, Clone)]
pub struct Enrollment {
    /// Its name.
    pub id: EnrollmentId,
    /// The student.
    pub student: StudentId,
    /// The SHA-256 of what was enrolled.
    pub digest: PhotoDigest,
    /// The picture as it came, with its format; `None` for embeddings imported without one.
    pub photo: Option<(PhotoFormat, Bytes)>,
    /// The model that made the embeddings.
    pub model: ModelId,
    /// The embeddings, at least one, each with its crop (JPEG, 150 x 150) where there is one.
    pub faces: Vec<(Embedding, Option<Bytes>)>,
    /// When.
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
///   crash; pictures are durable before the embeddings become visible, so an embedding without its picture never
///   exists. What a crash left of unfinished enrolments is removed at the next start.
/// - **Seen at once.** What was acknowledged before [`changes`](Self::changes) is called is in its answer, whichever
///   process acknowledged it.
/// - **Once.** Of equal enrolments (student and digest), also concurrent ones, one is stored; all return its `saved`.
/// - **All or nothing.** An error leaves no trace that a reader could see. Removal and enrolment of one student, side
///   by side, end as if one came after the other.
#[async_trait]
pub trait GalleryStore: Send + Sync {
    /// What was stored for this picture of this student, or `None`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn find(&self, student: &StudentId, digest: &PhotoDigest) -> Result<Option<Enrolled>, StoreError>;

    /// Stores the enrolment, or returns what its equal came to.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn enroll(&self, enrollment: Enrollment) -> Result<Enrolled, StoreError>;

    /// Erases everything of this student, and returns how many embeddings that were (0 for a student who is not
    /// enrolled). Pictures and crops are gone when it returns.
    ///
    /// # Errors
    /// [`StoreError`]; a repeat goes on where it stopped.
    async fn remove(&self, student: &StudentId) -> Result<usize, StoreError>;

    /// The changes after `since` to embeddings of this model, and the version they lead to. Costs one small read
    /// where nothing changed. An enrolment that was added and removed since may be absent.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn changes(
        &self,
        since: &GalleryVersion,
        model: &ModelId,
    ) -> Result<(Vec<Change>, GalleryVersion), StoreError>;

    /// How much is enrolled, without reading all of it where the store can.
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
