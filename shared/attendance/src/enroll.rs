use std::sync::Arc;

use bytes::Bytes;

use crate::ports::{
    Enrolled, Enrollment, EnrollmentId, EnrollmentOrigin, FaceEngine, GalleryStore, Purpose, Push, ScanError,
    StoreError,
};
use crate::{Clock, Face, Message, PhotoDigest, Refusal, RefusalCode, StudentId};

/// What to do with an enrolment photograph that shows several people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MultiFace {
    /// Refuse it: nobody can tell which of them is the student.
    #[default]
    Reject,
    /// Store the largest face.
    Largest,
    /// Store every face under the student, as the replaced service did.
    All,
}

/// Why a photograph was not enrolled. The messages are for the person who sent it.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// It shows nobody.
    #[error(
        "no face was found in the image; send a photograph that shows one face clearly, at least {min_size} pixels wide"
    )]
    NoFace {
        /// The smallest face that was searched for in this photograph, in pixels.
        min_size: u32,
    },
    /// It shows several people, and [`MultiFace::Reject`] is set.
    #[error("the image shows {count} faces; send a photograph of the student alone")]
    MultipleFaces {
        /// The number of faces.
        count: usize,
    },
    /// It could not be scanned.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The store failed; nothing was stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EnrollError {
    /// Why the photograph is refused; `None` if the fault is not the photograph's, so that a later try may succeed.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::NoFace { .. } => Some(Refusal::new(RefusalCode::NoFace, self.to_string())),
            Self::MultipleFaces { .. } => Some(Refusal::new(RefusalCode::MultipleFaces, self.to_string())),
            Self::Scan(error) => error.refusal(),
            Self::Store(_) => None,
        }
    }
}

/// What an enrolment came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The student.
    pub student: StudentId,
    /// Embeddings stored for this photograph, now or when it was first sent.
    pub saved: usize,
    /// Whether the photograph was new.
    pub new: bool,
}

/// Turns photographs into stored embeddings.
pub struct Enroller {
    engine: Arc<dyn FaceEngine>,
    store: Arc<dyn GalleryStore>,
    push: Arc<dyn Push>,
    clock: Arc<dyn Clock>,
    multi_face: MultiFace,
}

impl Enroller {
    /// An enroller over these ports.
    pub(crate) fn new(
        engine: Arc<dyn FaceEngine>,
        store: Arc<dyn GalleryStore>,
        push: Arc<dyn Push>,
        clock: Arc<dyn Clock>,
        multi_face: MultiFace,
    ) -> Self {
        Self { engine, store, push, clock, multi_face }
    }

    /// Enrols one photograph and returns what is stored for it. The same bytes for the same student are stored once: a
    /// repeat returns what the first enrolment did.
    ///
    /// # Errors
    /// [`EnrollError`]; nothing was stored.
    pub async fn enroll(
        &self,
        student: &StudentId,
        photo: Bytes,
        origin: EnrollmentOrigin,
    ) -> Result<Receipt, EnrollError> {
        let digest = PhotoDigest::of(&photo);
        if let Some(Enrolled { saved, .. }) = self.store.find(student, &digest, &origin).await? {
            return Ok(Receipt { student: student.clone(), saved, new: false });
        }
        let scan = self.engine.scan(photo.clone(), Purpose::Enroll).await?;
        let faces = self.choose(scan.faces, scan.min_size)?;
        let at = self.clock.now();
        let enrollment = Enrollment {
            id: EnrollmentId::generate(),
            student: student.clone(),
            digest,
            origin,
            photo: Some((scan.format, photo)),
            model: self.engine.model().clone(),
            faces: faces.into_iter().map(|face| (face.embedding, face.crop)).collect(),
            at,
        };
        let Enrolled { saved, new } = self.store.enroll(enrollment).await?;
        if new {
            let message = Message::Enrolled { student_id: student.clone(), saved, ts: at.seconds() };
            if let Err(error) = self.push.publish(&message).await {
                tracing::warn!(%student, ?error, "could not tell the subscribers of an enrolment");
            }
        }
        Ok(Receipt { student: student.clone(), saved, new })
    }

    fn choose(&self, mut faces: Vec<Face>, min_size: u32) -> Result<Vec<Face>, EnrollError> {
        match (faces.len(), self.multi_face) {
            (0, _) => Err(EnrollError::NoFace { min_size }),
            (1, _) | (_, MultiFace::All) => Ok(faces),
            (_, MultiFace::Largest) => {
                faces.sort_by_key(|face| std::cmp::Reverse(face.face_box.area()));
                faces.truncate(1);
                Ok(faces)
            }
            (count, MultiFace::Reject) => Err(EnrollError::MultipleFaces { count }),
        }
    }
}
