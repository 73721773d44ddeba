use std::sync::Arc;

use bytes::Bytes;

use crate::ports::{FaceEngine, Purpose, ScanError, StoreError};
use crate::{FaceBox, FrameSize, GalleryCache, Label, Roster, Tolerance};

/// Why a picture was not recognised.
#[derive(Debug, thiserror::Error)]
pub enum RecognizeError {
    /// The picture could not be scanned.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The gallery could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One face of a picture and who it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// Where, in pixels of the upright picture.
    pub face_box: FaceBox,
    /// Who.
    pub label: Label,
    /// The distance to the nearest embedding of anyone; `None` where nobody is enrolled.
    pub distance: Option<f32>,
}

/// Everybody in a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognition {
    /// The upright picture's size.
    pub size: FrameSize,
    /// The faces, most confident detection first.
    pub sightings: Vec<Sighting>,
}

/// Names the faces of a picture.
pub struct Recognizer {
    engine: Arc<dyn FaceEngine>,
    gallery: GalleryCache,
    tolerance: Tolerance,
}

impl Recognizer {
    /// A recogniser over this engine and gallery.
    pub(crate) fn new(engine: Arc<dyn FaceEngine>, gallery: GalleryCache, tolerance: Tolerance) -> Self {
        Self { engine, gallery, tolerance }
    }

    /// Reads the gallery, so that the first picture need not wait for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn warm(&self) -> Result<(), StoreError> {
        self.gallery.current().await.map(drop)
    }

    /// Who is in the picture, by everything acknowledged before this call. With a roster nobody else is looked for: others are
    /// unknown, and distances are those to its students.
    ///
    /// # Errors
    /// [`RecognizeError`].
    pub async fn recognize(&self, photo: Bytes, roster: Option<&Roster>) -> Result<Recognition, RecognizeError> {
        let scan = self.engine.scan(photo, Purpose::Recognize).await?;
        let mut gallery = self.gallery.current().await?;
        if let Some(roster) = roster {
            gallery = Arc::new(gallery.among(roster));
        }
        let sightings = scan
            .faces
            .iter()
            .map(|face| {
                let identity = gallery.identify(&face.embedding, self.tolerance);
                Sighting { face_box: face.face_box, label: identity.label, distance: identity.distance }
            })
            .collect();
        Ok(Recognition { size: scan.size, sightings })
    }
}
