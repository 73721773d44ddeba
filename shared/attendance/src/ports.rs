//! What the use cases need from the outside, each trait with what every adapter must guarantee.
//!
//! The guarantees are tested by the contract suites in `tests/testkit`, one function a trait, which every adapter and
//! the in-memory fake run.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    Attempt, Embedding, Event, EventId, EventPage, EventRecord, EventStatus, Message, ModelId, NextStep, PhotoDigest,
    PhotoFormat, Scan, StudentId, Timestamp, Wakeup,
};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a picture could not be scanned. The messages are for the person who sent it.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Empty, truncated, or not decodable.
    #[error("the image {reason}; send a complete JPEG, PNG or WebP file")]
    Invalid {
        /// What is wrong, as the rest of a sentence that begins with "the image".
        reason: String,
    },
    /// A picture format that is not accepted.
    #[error("{format} images are not supported; send a JPEG, PNG or WebP file")]
    Unsupported {
        /// The format's name.
        format: &'static str,
    },
    /// Too many pixels.
    #[error("the image has {width} x {height} pixels; allowed are {megapixels} megapixels, and {side} pixels a side")]
    TooManyPixels {
        /// Width in pixels, as the file claims.
        width: u32,
        /// Height in pixels, as the file claims.
        height: u32,
        /// The most megapixels.
        megapixels: u32,
        /// The most pixels a side.
        side: u32,
    },
    /// Too many bytes.
    #[error("the image has {size} bytes; at most {limit} are allowed")]
    TooManyBytes {
        /// The picture's size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// More pictures wait than the engine takes.
    #[error("too many pictures are waiting; try again in a moment")]
    Overloaded,
    /// A fault of ours.
    #[error("the face engine failed")]
    Internal(#[source] Cause),
}

/// Why a store did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not answer, is full, or is busy for too long; nothing was half-written, and a later try may succeed.
    #[error("a store does not answer")]
    Unavailable(#[source] Cause),
    /// What it holds is not what was written: a person has to look.
    #[error("a store holds damaged data")]
    Damaged(#[source] Cause),
}

impl StoreError {
    /// The store does not answer, for this reason.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::Unavailable(cause.into())
    }

    /// The store holds damaged data, for this reason.
    pub fn damaged(cause: impl Into<Cause>) -> Self {
        Self::Damaged(cause.into())
    }
}

/// What a scan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A missed or tilted face costs more than time; faces come with their crops.
    Enroll,
    /// Somebody waits for the answer.
    Recognize,
}

/// Finds and describes the faces of a picture.
#[async_trait]
pub trait FaceEngine: Send + Sync {
    /// The model that makes the embeddings.
    fn model(&self) -> &ModelId;

    /// The faces in the picture, most confident detection first, in upright coordinates.
    ///
    /// Adapters bound the memory and the time of a scan and how many wait, and never block the caller's thread.
    ///
    /// # Errors
    /// [`ScanError`].
    async fn scan(&self, photo: Bytes, purpose: Purpose) -> Result<Scan, ScanError>;
}

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

/// Whether an event may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// The cooldown is taken and the event is stored as pending.
    Accepted,
    /// The last accepted event of the same key is too young; nothing was stored.
    Cooling {
        /// The rest of the quiet time.
        left: Duration,
    },
}

/// What came of the wish to try one event.
#[derive(Debug, Clone)]
pub enum Claim {
    /// It was due and is leased to the caller.
    Claimed(Box<EventRecord>),
    /// It is pending and not due before `until`: then comes its next try, or the end of somebody else's lease.
    Waiting {
        /// The time of its next try, whoever has a lease meanwhile.
        next_try: Timestamp,
        /// The later of its next try and the lease's end.
        until: Timestamp,
    },
    /// It was sent or given up, or there is no such event.
    Ended,
}

/// How long an adapter keeps an event that ended; then it forgets it, some days later at most.
pub const ENDED_KEPT: Duration = Duration::from_secs(90 * 86400);

/// Keeps accepted events until they ended, and the cooldowns: an outbox.
///
/// Every adapter guarantees:
/// - **One.** Of events with one cooldown key accepted within the cooldown, also by several processes at the same
///   instant, one is [`Acceptance::Accepted`]. The cooldown and the pending event are stored in one transaction, durably.
/// - **Leased.** A pending event is handed to one claimer at a time; the lease runs out by itself, so what a crashed
///   process held comes back.
/// - **Bounded.** An event that ended is forgotten [`ENDED_KEPT`] later; a pending one never is.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Takes the cooldown of [`Event::cooldown_key`] as of [`Event::at`] and stores the event as pending, leased to the
    /// caller for `lease`. A cooldown of zero always accepts, and so does one whose last event is later by more than the
    /// cooldown: a clock was set back.
    ///
    /// # Errors
    /// [`StoreError`]; then neither is stored.
    async fn accept(&self, event: &Event, cooldown: Duration, lease: Duration) -> Result<Acceptance, StoreError>;

    /// Records a try and where the event goes next, and ends the lease. A try of an event that ended meanwhile is
    /// recorded and does not reopen it; one that was given up and arrived after all is sent. A try that began before a
    /// [`replay`](Self::replay) belongs to no round any more: it is recorded, and moves the event only where it arrived.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn record(&self, id: EventId, attempt: &Attempt, next: NextStep) -> Result<(), StoreError>;

    /// Pending events whose time has come, earliest first, leased to the caller for `lease` from `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn claim_due(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<EventRecord>, StoreError>;

    /// This event, leased to the caller for `lease` from `now` where it is pending and due at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn claim(&self, id: EventId, now: Timestamp, lease: Duration) -> Result<Claim, StoreError>;

    /// Events newest first, of one status or all, from `cursor` on (the `next` of the page before), at least one where
    /// there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn list(
        &self,
        status: Option<EventStatus>,
        limit: usize,
        cursor: Option<EventId>,
    ) -> Result<EventPage, StoreError>;

    /// Makes an event pending and due at `now`, in a new round of tries, and returns whether there is such an event. One
    /// that is leased stays leased: somebody is trying at this moment.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn replay(&self, id: EventId, now: Timestamp) -> Result<bool, StoreError>;
}

/// Wakes somebody for the next try of one event, where nobody polls the outbox.
///
/// Every adapter guarantees that a wakeup which was taken arrives at least once, but for an accident: promptness hangs on
/// it, and no event, for [`Deliverer::wake_overdue`](crate::Deliverer::wake_overdue) finds those whose wakeup was lost.
#[async_trait]
pub trait Wakeups: Send + Sync {
    /// Takes a wakeup that is to arrive after `wait`, or sooner where the adapter cannot hold it for so long.
    ///
    /// # Errors
    /// [`StoreError`]; then it does not arrive, as far as one can know.
    async fn send(&self, wakeup: Wakeup, wait: Duration) -> Result<(), StoreError>;
}

/// Tells the Attendance API.
#[async_trait]
pub trait Webhook: Send + Sync {
    /// The outcome of one try to deliver this body under this event id. Never longer than its timeout, never an error:
    /// whatever goes wrong is a value that is recorded.
    async fn deliver(&self, id: EventId, body: &str, at: Timestamp) -> Attempt;
}

/// Tells everybody who watches.
#[async_trait]
pub trait Push: Send + Sync {
    /// Gives the message the next `seq` and hands it to every watcher, in the order of `seq`. Never waits for a watcher.
    ///
    /// # Errors
    /// [`StoreError`] where the message could not be kept or handed over; the caller logs it and goes on.
    async fn publish(&self, message: &Message) -> Result<(), StoreError>;
}

/// A watcher's messages, each a JSON text with `seq`. It ends when the watcher is too slow and its bound is reached.
pub type Subscription = mpsc::Receiver<std::sync::Arc<str>>;

/// Watchers of one process. On AWS the gateway holds them instead.
#[async_trait]
pub trait Watch: Send + Sync {
    /// The messages after `since`, as far as they are kept, then all that follow, without a gap; from now on where it
    /// is `None`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn subscribe(&self, since: Option<u64>) -> Result<Subscription, StoreError>;
}
