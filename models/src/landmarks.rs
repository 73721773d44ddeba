//! The five landmarks' regression trees, and the compact file that holds them.
//!
//! The file, little endian throughout, without gaps:
//!
//! | what | type |
//! |---|---|
//! | magic | the 8 bytes `FACELM5\0` |
//! | version | `u32`, 1 |
//! | points, cascades, pixels, trees, splits | `u32` each: 5, 15, 800, 500, 15 |
//! | initial shape | `f32[2 * points]`: x, y of each point |
//! | then, per cascade: anchors | `u8[pixels]` |
//! | deltas | `f32[pixels][2]` |
//! | splits | `trees * splits` times `u16` first, `u16` second, `f32` threshold |
//! | leaves | `f32[trees][splits + 1][2 * points]` |
//!
//! Every index is checked when the file is read, so inference may rely on them.

use crate::dlib::{FormatError, Reader};

/// Landmarks of a face: two at each eye and one under the nose.
pub const POINTS: usize = 5;
/// Rounds of refinement.
pub const CASCADES: usize = 15;
/// Pixels that one cascade looks at.
pub const PIXELS: usize = 800;
/// Trees of one cascade.
pub const TREES: usize = 500;
/// Inner nodes of a tree: four levels.
pub const SPLITS: usize = 15;
/// Ends of a tree.
pub const LEAVES: usize = SPLITS + 1;

const MAGIC: &[u8; 8] = b"FACELM5\0";
const VERSION: u32 = 1;

/// Coordinates of the points, x and y in turn, relative to the face's box: 0 is left or top, 1 is right or bottom.
pub type Shape = [f32; 2 * POINTS];

/// A question at an inner node. Node `i` goes on at `2i + 1` if `pixel[first] - pixel[second] > threshold`, else at
/// `2i + 2`; from [`SPLITS`] on, that is leaf `i - SPLITS`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// A pixel of the cascade, under [`PIXELS`].
    pub first: u16,
    /// Another one.
    pub second: u16,
    /// In levels of intensity.
    pub threshold: f32,
}

/// One round of refinement.
#[derive(Debug, Clone, PartialEq)]
pub struct Cascade {
    /// For each pixel the point that it stays with, under [`POINTS`]. [`PIXELS`] of them.
    pub anchors: Vec<u8>,
    /// For each pixel the way from its point, in the initial shape's frame. [`PIXELS`] of them.
    pub deltas: Vec<[f32; 2]>,
    /// The splits of all trees, [`SPLITS`] per tree.
    pub splits: Vec<Split>,
    /// What each leaf adds to the shape, [`LEAVES`] per tree.
    pub leaves: Vec<Shape>,
}

/// The five-point shape predictor.
#[derive(Debug, Clone, PartialEq)]
pub struct Landmarks {
    /// Where the refinement starts.
    pub initial: Shape,
    /// [`CASCADES`] of them, in their order.
    pub cascades: Vec<Cascade>,
}

impl Landmarks {
    /// Returns the compact file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for number in header() {
            bytes.extend(number.to_le_bytes());
        }
        put(&mut bytes, &self.initial);
        for cascade in &self.cascades {
            bytes.extend(&cascade.anchors);
            put(&mut bytes, cascade.deltas.as_flattened());
            for split in &cascade.splits {
                bytes.extend(split.first.to_le_bytes());
                bytes.extend(split.second.to_le_bytes());
                bytes.extend(split.threshold.to_le_bytes());
            }
            put(&mut bytes, cascade.leaves.as_flattened());
        }
        bytes
    }

    /// Returns the predictor in a compact file; `file` is the name that errors give.
    ///
    /// # Errors
    /// [`FormatError`] if the bytes are no such file.
    pub fn from_bytes(file: &str, bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(file, bytes);
        if reader.bytes(MAGIC.len())? != MAGIC {
            return Err(Reader::new(file, bytes).error("this is no landmark file"));
        }
        for expected in header() {
            let start = reader.clone();
            let [found] = u32s(&mut reader)?;
            if found != expected {
                return Err(start.error(format!("{found} stands in the header where {expected} is expected")));
            }
        }
        let initial = floats(&mut reader)?;
        let mut cascades = Vec::with_capacity(CASCADES);
        for _ in 0..CASCADES {
            let start = reader.clone();
            let anchors = reader.bytes(PIXELS)?.to_vec();
            if anchors.iter().any(|&anchor| usize::from(anchor) >= POINTS) {
                return Err(start.error("an anchor is no point"));
            }
            let deltas = (0..PIXELS).map(|_| floats(&mut reader)).collect::<Result<_, _>>()?;
            let splits = (0..TREES * SPLITS).map(|_| split(&mut reader)).collect::<Result<_, _>>()?;
            let leaves = (0..TREES * LEAVES).map(|_| floats(&mut reader)).collect::<Result<_, _>>()?;
            cascades.push(Cascade { anchors, deltas, splits, leaves });
        }
        reader.finish()?;
        Ok(Self { initial, cascades })
    }
}

fn header() -> [u32; 6] {
    [VERSION, POINTS as u32, CASCADES as u32, PIXELS as u32, TREES as u32, SPLITS as u32]
}

fn put(bytes: &mut Vec<u8>, values: &[f32]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn u32s<const N: usize>(reader: &mut Reader<'_>) -> Result<[u32; N], FormatError> {
    let (words, _) = reader.bytes(4 * N)?.as_chunks::<4>();
    Ok(std::array::from_fn(|i| u32::from_le_bytes(words[i])))
}

fn floats<const N: usize>(reader: &mut Reader<'_>) -> Result<[f32; N], FormatError> {
    let start = reader.clone();
    let values = u32s(reader)?.map(f32::from_bits);
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err(start.error("a number is not finite")),
    }
}

fn split(reader: &mut Reader<'_>) -> Result<Split, FormatError> {
    let start = reader.clone();
    let [pixels, threshold] = u32s(reader)?;
    let split =
        Split { first: (pixels & 0xffff) as u16, second: (pixels >> 16) as u16, threshold: f32::from_bits(threshold) };
    let fits = split.first.max(split.second) < PIXELS as u16 && split.threshold.is_finite();
    if fits { Ok(split) } else { Err(start.error(format!("{split:?} is no split"))) }
}
