//! The gallery packed into one object, so that a cold container reads one object and the few changes since.
//!
//! All numbers are little-endian:
//!
//! ```text
//! 8   "ATTGAL" 0 1              what this is, and the format's version
//! 2   length of the model id    then the id in UTF-8: embeddings of two models are never compared
//! 2   number of shards          then 8 bytes each: the last change of the shard that is in here
//! 4   number of enrolments      then each:
//!       16  enrolment id
//!        1  length of the student id, then the id in ASCII
//!        2  number of embeddings, then 4 bytes each for as many floats as the model's embeddings have
//! 32  SHA-256 of all before
//! ```
//!
//! A snapshot only saves time. If there is none, or if it is damaged or of another model or number of shards, the changes
//! from the beginning lead to the same gallery.

use attendance::ports::{Change, EnrollmentId, GalleryVersion};
use attendance::{Embedding, ModelId, StudentId};
use bytes::Bytes;
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"ATTGAL\x00\x01";
const CHECKSUM: usize = 32;

/// Everybody enrolled with one model, as of a version.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Snapshot {
    pub(super) model: ModelId,
    pub(super) version: GalleryVersion,
    pub(super) enrollments: Vec<(EnrollmentId, StudentId, Vec<Embedding>)>,
}

/// Why some bytes are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a snapshot {0}")]
pub(super) struct InvalidSnapshot(&'static str);

/// The key of the model's snapshot.
pub(super) fn key(model: &ModelId) -> String {
    format!("{PREFIX}{}.gallery", model.as_str())
}

/// Where all snapshots lie.
pub(super) const PREFIX: &str = "snapshots/";

impl Snapshot {
    /// The changes that lead from an empty gallery to this one.
    pub(super) fn into_changes(self) -> Vec<Change> {
        let add = |(id, student, embeddings)| Change::Add { id, student, embeddings };
        self.enrollments.into_iter().map(add).collect()
    }

    pub(super) fn encode(&self) -> Bytes {
        let vectors: usize = self.enrollments.iter().map(|(_, _, embeddings)| embeddings.len()).sum();
        let mut out = Vec::with_capacity(vectors * self.model.embedding_bytes() + self.enrollments.len() * 64 + 1024);
        out.extend_from_slice(MAGIC);
        put_size::<u16>(&mut out, self.model.as_str().len());
        out.extend_from_slice(self.model.as_str().as_bytes());
        put_size::<u16>(&mut out, self.version.0.len());
        for version in &self.version.0 {
            out.extend_from_slice(&version.to_le_bytes());
        }
        put_size::<u32>(&mut out, self.enrollments.len());
        for (id, student, embeddings) in &self.enrollments {
            out.extend_from_slice(&id.0.to_le_bytes());
            put_size::<u8>(&mut out, student.as_str().len());
            out.extend_from_slice(student.as_str().as_bytes());
            put_size::<u16>(&mut out, embeddings.len());
            for value in embeddings.iter().flat_map(|embedding| embedding.values()) {
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
        let checksum = Sha256::digest(&out);
        out.extend_from_slice(&checksum);
        out.into()
    }

    /// Returns the snapshot of this model that [`encode`](Self::encode) wrote.
    pub(super) fn decode(bytes: &[u8], model: &ModelId) -> Result<Self, InvalidSnapshot> {
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(InvalidSnapshot("is too short"))?;
        if Sha256::digest(body).as_slice() != checksum {
            return Err(InvalidSnapshot("has another checksum than it says"));
        }
        let mut rest = Reader(body);
        if rest.take(MAGIC.len())? != MAGIC {
            return Err(InvalidSnapshot("is of another format"));
        }
        let length = usize::from(u16::from_le_bytes(rest.array()?));
        if rest.text(length)? != model.as_str() {
            return Err(InvalidSnapshot("is of another model"));
        }
        let shards = u16::from_le_bytes(rest.array()?);
        let version = (0..shards).map(|_| Ok(u64::from_le_bytes(rest.array()?))).collect::<Result<_, _>>()?;
        let count = u32::from_le_bytes(rest.array()?);
        let enrollments = (0..count).map(|_| rest.enrollment(model)).collect::<Result<_, _>>()?;
        if !rest.0.is_empty() {
            return Err(InvalidSnapshot("has bytes behind its end"));
        }
        Ok(Self { model: model.clone(), version: GalleryVersion(version), enrollments })
    }
}

fn put_size<T>(out: &mut Vec<u8>, size: usize)
where
    T: TryFrom<usize, Error: std::fmt::Debug> + IntoBytes,
{
    T::try_from(size).expect("the domain's bounds are below the format's").put(out);
}

/// An integer as the format has it.
trait IntoBytes {
    fn put(self, out: &mut Vec<u8>);
}

impl IntoBytes for u8 {
    fn put(self, out: &mut Vec<u8>) {
        out.push(self);
    }
}

impl IntoBytes for u16 {
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl IntoBytes for u32 {
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8], InvalidSnapshot> {
        let (taken, rest) = self.0.split_at_checked(size).ok_or(InvalidSnapshot("ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidSnapshot> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(InvalidSnapshot("ends too early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn text(&mut self, size: usize) -> Result<&'a str, InvalidSnapshot> {
        std::str::from_utf8(self.take(size)?).map_err(|_| InvalidSnapshot("has a name that is no text"))
    }

    fn enrollment(&mut self, model: &ModelId) -> Result<(EnrollmentId, StudentId, Vec<Embedding>), InvalidSnapshot> {
        let id = EnrollmentId(u128::from_le_bytes(self.array()?));
        let [length] = self.array()?;
        let student = StudentId::parse(self.text(usize::from(length))?)
            .map_err(|_| InvalidSnapshot("has a student id that is none"))?;
        let count = u16::from_le_bytes(self.array()?);
        let embeddings = (0..count).map(|_| self.embedding(model)).collect::<Result<_, _>>()?;
        Ok((id, student, embeddings))
    }

    fn embedding(&mut self, model: &ModelId) -> Result<Embedding, InvalidSnapshot> {
        let bytes = self.take(model.embedding_bytes())?;
        model.read_embedding(bytes).map_err(|_| InvalidSnapshot("has an embedding that is none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ModelId {
        ModelId::new("model-a", 128)
    }

    fn snapshot() -> Snapshot {
        let student = |name| StudentId::parse(name).unwrap();
        let embedding = |value| Embedding::new(&[value; 128]).unwrap();
        Snapshot {
            model: model(),
            version: GalleryVersion(vec![3, 0, u64::MAX]),
            enrollments: vec![
                (EnrollmentId(7), student("siswaA"), vec![embedding(0.5), embedding(-1.25)]),
                (EnrollmentId(u128::MAX), student("b"), vec![embedding(1e-30)]),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for snapshot in [snapshot(), Snapshot { enrollments: Vec::new(), ..snapshot() }] {
            assert_eq!(Snapshot::decode(&snapshot.encode(), &model()), Ok(snapshot));
        }
    }

    #[test]
    fn another_model_and_other_dimensions_are_refused() {
        let bytes = snapshot().encode();
        let error = Snapshot::decode(&bytes, &ModelId::new("model-b", 128)).unwrap_err();
        assert_eq!(error.to_string(), "a snapshot is of another model");
        for dimensions in [64, 127, 192, 512] {
            assert!(Snapshot::decode(&bytes, &ModelId::new("model-a", dimensions)).is_err(), "{dimensions}");
        }
    }

    #[test]
    fn a_snapshot_has_the_documented_size() {
        let bytes = snapshot().encode();
        assert_eq!(bytes.len(), 8 + 2 + 7 + 2 + 3 * 8 + 4 + (16 + 1 + 6 + 2 + 2 * 512) + (16 + 1 + 1 + 2 + 512) + 32);
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_noticed() {
        let bytes = snapshot().encode();
        for index in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[index] ^= 0x10;
            assert!(Snapshot::decode(&damaged, &model()).is_err(), "byte {index}");
            assert!(Snapshot::decode(&bytes[..index], &model()).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn a_true_checksum_over_nonsense_does_not_help() {
        let good = snapshot().encode();
        let body = &good[..good.len() - CHECKSUM];
        for nonsense in [&body[..40], &b"ATTGAL\x00\x02"[..], b"", &[body, b"x"].concat()] {
            let bytes = [nonsense, Sha256::digest(nonsense).as_slice()].concat();
            assert!(Snapshot::decode(&bytes, &model()).is_err());
        }
    }
}
