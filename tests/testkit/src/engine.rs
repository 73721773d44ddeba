use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use attendance::ports::{FaceEngine, Purpose, ScanError};
use attendance::{Embedding, Face, FaceBox, FrameSize, ModelId, PhotoFormat, Scan};
use bytes::Bytes;

/// Numbers in a made-up embedding.
const DIMENSIONS: usize = 128;

/// A face in a made-up picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FakeFace {
    /// Who it is, from 0 to 126. Two people's faces are at least 1.4 apart.
    pub person: usize,
    /// How far it is from this person's usual face.
    pub offset: f32,
    /// The side of its square box, in pixels.
    pub side: i32,
}

impl FakeFace {
    /// What it looks like.
    #[must_use]
    pub fn embedding(&self) -> Embedding {
        let mut values = [0.0; DIMENSIONS];
        values[self.person] = 1.0;
        values[DIMENSIONS - 1] = self.offset;
        Embedding::new(&values).expect("finite numbers")
    }
}

/// The face of a person, a little off the usual, 100 pixels wide.
#[must_use]
pub fn face(person: usize, offset: f32) -> FakeFace {
    FakeFace { person, offset, side: 100 }
}

/// The bytes of a picture of 640 x 480 with these faces, as [`FakeEngine`] reads them. The note makes pictures of the
/// same faces different.
#[must_use]
pub fn picture(note: &str, faces: &[FakeFace]) -> Bytes {
    let mut text = format!("picture {note}");
    for FakeFace { person, offset, side } in faces {
        text.push_str(&format!("\n{person} {offset} {side}"));
    }
    text.into()
}

/// Reads what [`picture`] wrote; anything else is an invalid image, and the bytes `busy` find it overloaded.
#[derive(Debug)]
pub struct FakeEngine {
    model: ModelId,
    scans: AtomicUsize,
}

impl Default for FakeEngine {
    fn default() -> Self {
        Self { model: ModelId::new("fake-v1", DIMENSIONS), scans: AtomicUsize::new(0) }
    }
}

impl FakeEngine {
    /// How often a picture was scanned.
    #[must_use]
    pub fn scans(&self) -> usize {
        self.scans.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl FaceEngine for FakeEngine {
    fn model(&self) -> &ModelId {
        &self.model
    }

    async fn scan(&self, photo: Bytes, purpose: Purpose) -> Result<Scan, ScanError> {
        self.scans.fetch_add(1, Ordering::SeqCst);
        if photo == "busy" {
            return Err(ScanError::Overloaded);
        }
        let faces = read(&photo, purpose).ok_or(ScanError::Invalid { reason: "is no made-up picture".into() })?;
        Ok(Scan { size: FrameSize { width: 640, height: 480 }, format: PhotoFormat::Jpeg, faces, min_size: 80 })
    }
}

fn read(photo: &[u8], purpose: Purpose) -> Option<Vec<Face>> {
    let mut lines = std::str::from_utf8(photo).ok()?.lines();
    lines.next()?.strip_prefix("picture ")?;
    lines
        .enumerate()
        .map(|(n, line)| {
            let mut words = line.split(' ');
            let face = FakeFace {
                person: words.next()?.parse().ok()?,
                offset: words.next()?.parse().ok()?,
                side: words.next()?.parse().ok()?,
            };
            let left = i32::try_from(n).ok()? * 10;
            Some(Face {
                face_box: FaceBox { top: 0, right: left + face.side, bottom: face.side, left },
                embedding: face.embedding(),
                crop: (purpose == Purpose::Enroll).then(|| Bytes::from(format!("crop {n} of {line}"))),
            })
        })
        .collect()
}
