//! The network: on the kernels if they know it, else on tract.

use std::io::Cursor;
use std::sync::{Mutex, PoisonError};

use attendance_kernels::SimdLevel;
use attendance_kernels::separable::{Image, SeparableNetwork, SeparableScratch};
use image::RgbImage;
use tract_onnx::prelude::{Framework, TValue, TVec};

use super::graph::recognize;
use crate::VisionError;
use crate::network::{Network, values};

pub(super) const NAME: &str = "yunet_s.onnx";
/// Pixels from cell to cell, of each level.
const STRIDES: [usize; 3] = [8, 16, 32];

/// A cell that sees a face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    pub(super) stride: usize,
    pub(super) column: usize,
    pub(super) row: usize,
    /// The geometric mean of the two probabilities, from 0 to 1.
    pub(super) score: f32,
    /// The centre's offset in cells, and the logarithm of width and height in cells.
    pub(super) offsets: [f32; 4],
}

/// YuNet, for pictures of any size.
pub(super) enum YunetNetwork {
    Kernels {
        network: Box<SeparableNetwork>,
        /// One for each run at once.
        scratches: Mutex<Vec<SeparableScratch>>,
    },
    Tract(Network),
}

impl YunetNetwork {
    /// Returns the network in these ONNX bytes.
    ///
    /// # Errors
    /// [`VisionError::Network`] if tract cannot read them.
    pub(super) fn parse(onnx: &[u8]) -> Result<Self, VisionError> {
        let model = tract_onnx::onnx().proto_model_for_read(&mut Cursor::new(onnx));
        let model = model.map_err(|e| VisionError::network(NAME, e))?;
        let layers = model.graph.as_ref().and_then(|graph| recognize(graph, &STRIDES));
        match layers.map(|layers| SeparableNetwork::new(&layers, SimdLevel::detect())) {
            Some(Ok(network)) => Ok(Self::Kernels { network: Box::new(network), scratches: Mutex::default() }),
            _ => Self::on_tract(onnx),
        }
    }

    fn on_tract(onnx: &[u8]) -> Result<Self, VisionError> {
        Network::parse(NAME, onnx).map(Self::Tract)
    }

    /// Returns the cells of at least this score, in no useful order.
    ///
    /// # Errors
    /// [`VisionError`] if tract fails.
    pub(super) fn cells(&self, picture: &RgbImage, min_score: f32) -> Result<Vec<Cell>, VisionError> {
        match self {
            Self::Kernels { network, scratches } => {
                let pool = || scratches.lock().unwrap_or_else(PoisonError::into_inner);
                let mut scratch = pool().pop().unwrap_or_default();
                let cells = by_kernels(network, &mut scratch, picture, min_score);
                pool().push(scratch);
                Ok(cells)
            }
            Self::Tract(network) => by_tract(network, picture, min_score),
        }
    }
}

fn by_kernels(
    network: &SeparableNetwork,
    scratch: &mut SeparableScratch,
    picture: &RgbImage,
    min_score: f32,
) -> Vec<Cell> {
    let sides = [picture.width(), picture.height()].map(|side| side as usize);
    let Some(image) = Image::new(sides[0], sides[1], picture.as_raw()) else { return Vec::new() };
    let mut found = Vec::new();
    // Where either probability is below the square of the score, so is their product.
    let least = logit(min_score * min_score);
    for level in network.run(scratch, image) {
        for (index, values) in level.cells().enumerate() {
            let &[class, object, x, y, w, h, ..] = values else { continue };
            if class < least || object < least {
                continue;
            }
            let score = (sigmoid(class) * sigmoid(object)).sqrt();
            if score >= min_score {
                let (column, row) = (index % level.columns, index / level.columns);
                found.push(Cell { stride: level.stride, column, row, score, offsets: [x, y, w, h] });
            }
        }
    }
    found
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

fn logit(probability: f32) -> f32 {
    (probability / (1.0 - probability)).ln()
}

fn by_tract(network: &Network, picture: &RgbImage, min_score: f32) -> Result<Vec<Cell>, VisionError> {
    let side = |n: u32| (n as usize).next_multiple_of(STRIDES[2]);
    let (width, height) = (side(picture.width()), side(picture.height()));
    let mut input = vec![0.0; width * height * 3];
    for (x, y, pixel) in picture.enumerate_pixels() {
        for (plane, value) in pixel.0.iter().rev().enumerate() {
            input[(plane * height + y as usize) * width + x as usize] = f32::from(*value);
        }
    }
    let outputs = network.run([1, 3, height, width], &input)?;
    let [classes, objects, boxes] = [0, 3, 6].map(|first| head(&outputs, first));
    let (classes, objects, boxes) = (classes?, objects?, boxes?);
    let mut found = Vec::new();
    for (level, stride) in STRIDES.into_iter().enumerate() {
        let columns = width / stride;
        let probabilities = classes[level].iter().zip(objects[level]);
        for (index, ((class, object), offsets)) in probabilities.zip(boxes[level].as_chunks::<4>().0).enumerate() {
            let score = (class.clamp(0.0, 1.0) * object.clamp(0.0, 1.0)).sqrt();
            if score >= min_score {
                let (column, row) = (index % columns, index / columns);
                found.push(Cell { stride, column, row, score, offsets: *offsets });
            }
        }
    }
    Ok(found)
}

/// One output's values at the three strides; the file lists `cls_8, cls_16, cls_32, obj_8, ...`.
fn head(outputs: &TVec<TValue>, first: usize) -> Result<[&[f32]; 3], VisionError> {
    let stride = |i: usize| {
        outputs.get(first + i).ok_or(VisionError::Output { name: NAME, expected: 12 }).and_then(|v| values(NAME, v))
    };
    Ok([stride(0)?, stride(1)?, stride(2)?])
}

#[cfg(test)]
mod tests {
    use attendance_models::{ModelName, ModelsDir};
    use image::Rgb;

    use super::*;

    /// Every cell, each with its place as a key.
    fn all(network: &YunetNetwork, picture: &RgbImage) -> Vec<Cell> {
        let mut cells = network.cells(picture, 0.0).unwrap();
        cells.sort_by_key(|cell| (cell.stride, cell.row, cell.column));
        cells
    }

    #[test]
    fn kernels_and_tract_agree_on_every_cell() {
        let onnx = ModelsDir::of_checkout().verify(ModelName::Yunet).unwrap();
        let (kernels, tract) = (YunetNetwork::parse(&onnx).unwrap(), YunetNetwork::on_tract(&onnx).unwrap());
        assert!(matches!(kernels, YunetNetwork::Kernels { .. }), "the file in use is recognised");
        for (width, height) in [(64, 64), (101, 70)] {
            let picture =
                RgbImage::from_fn(width, height, |x, y| Rgb([x * 7 + y * 13, x * y, x + y * 3].map(|v| v as u8)));
            let (kernels, tract) = (all(&kernels, &picture), all(&tract, &picture));
            assert_eq!(kernels.len(), tract.len());
            for (a, b) in kernels.iter().zip(&tract) {
                assert_eq!((a.stride, a.row, a.column), (b.stride, b.row, b.column));
                let apart = a.offsets.iter().zip(b.offsets).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                // The probabilities' product: its root is steep near zero, where tract's sigmoid is an approximation.
                let scores = (a.score * a.score - b.score * b.score).abs();
                assert!(apart < 1e-4 && scores < 1e-4, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn kernels_agree_with_onnx_runtime() {
        let network = YunetNetwork::parse(&ModelsDir::of_checkout().verify(ModelName::Yunet).unwrap()).unwrap();
        let picture = RgbImage::from_fn(64, 64, |x, y| Rgb([x * 7 + y * 13, x * y, x + y * 3].map(|v| v as u8)));
        let cells = all(&network, &picture);
        // What ONNX Runtime 1.32 gave for the same picture at stride 32.
        let recorded: [(f32, [f32; 4]); 4] = [
            (0.007_382_9, [0.834_173, 0.906_948, 0.671_707, 0.839_73]),
            (0.006_231_2, [0.452_556, 0.913_573, 0.700_144, 0.833_911]),
            (0.015_339_0, [0.711_288, 0.702_777, 0.754_112, 0.879_449]),
            (0.007_129_5, [0.475_824, 0.730_702, 0.788_555, 0.871_045]),
        ];
        for (cell, (score, offsets)) in cells[cells.len() - 4..].iter().zip(recorded) {
            assert!((cell.score - score).abs() < 1e-4, "{cell:?} has not the score {score}");
            let apart = cell.offsets.iter().zip(offsets).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-4, "{cell:?} has not {offsets:?}");
        }
    }

    #[test]
    fn a_graph_with_another_operator_or_number_is_not_recognised() {
        let onnx = ModelsDir::of_checkout().verify(ModelName::Yunet).unwrap();
        let model = tract_onnx::onnx().proto_model_for_read(&mut Cursor::new(&onnx)).unwrap();
        let graph = model.graph.unwrap();
        assert!(recognize(&graph, &STRIDES).is_some());
        for node in 0..graph.node.len() {
            let mut other = graph.clone();
            other.node[node].op_type = "Softplus".to_owned();
            assert!(recognize(&other, &STRIDES).is_none(), "{}", graph.node[node].name);
            for attribute in 0..graph.node[node].attribute.len() {
                let mut other = graph.clone();
                let changed = &mut other.node[node].attribute[attribute];
                changed.i += 1;
                changed.ints.iter_mut().for_each(|value| *value += 1);
                changed.s.push(b'x');
                let name = &graph.node[node].attribute[attribute].name;
                assert!(recognize(&other, &STRIDES).is_none(), "{name} of {}", graph.node[node].name);
            }
        }
        assert!(recognize(&graph, &STRIDES[..2]).is_none(), "there is a coarser level");
    }
}
