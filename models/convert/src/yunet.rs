//! YuNet-s out of libfacedetection's library, whose weights are symbols that it exports. Nothing of the library is run.

mod symbols;

use attendance_models::FormatError;

use crate::onnx::{Attribute, Dim, Graph};
use symbols::Symbols;

/// Of each level of the feature pyramid, pixels of the picture from cell to cell.
const STRIDES: [usize; 3] = [8, 16, 32];
/// Channels after the first convolution.
const STEM: usize = 16;
/// Channels of the pyramid's levels.
const CHANNELS: usize = 64;
/// The two units of each of the backbone's stages after the first: their outputs, and whether pooling follows.
const STAGES: [([usize; 2], bool); 5] =
    [([16, 32], false), ([32, 64], true), ([64, 64], true), ([64, 64], true), ([64, 64], false)];
/// The first stage whose result is a level of the pyramid.
const FIRST_LEVEL: usize = 3;
/// The heads: values per cell, and whether they are probabilities.
const HEADS: [(&str, usize, bool); 4] = [("cls", 1, true), ("obj", 1, true), ("bbox", 4, false), ("kps", 10, false)];

/// Returns YuNet-s as ONNX, from `libfacedetection.so`.
///
/// Input `input`: `f32[1, 3, H, W]`, BGR from 0 to 255, H and W multiples of 32. Outputs, for each stride S of 8, 16 and
/// 32 with `n = H / S * W / S` cells: `cls_S` and `obj_S`, `f32[1, n, 1]`, probabilities; `bbox_S`, `f32[1, n, 4]`, the
/// centre's offset in cells and the logarithm of width and height in cells; `kps_S`, `f32[1, n, 10]`, five points' offsets
/// in cells.
///
/// # Errors
/// [`FormatError`] if the bytes are not that library.
pub fn yunet(file: &str, library: &[u8]) -> Result<Vec<u8>, FormatError> {
    let mut builder = Builder { symbols: Symbols::parse(file, library)?, graph: Graph::new("yunet_s") };
    let sides = [Dim::Size(1), Dim::Size(3), Dim::Symbol("H"), Dim::Symbol("W")];
    let input = builder.graph.input("input", &sides);
    let mut value = builder.stem(&input)?;
    value = builder.unit(&value, "backbone__model0_dp", [STEM, STEM], true)?;
    value = builder.pool(&value);
    let (mut inputs, mut levels) = (STEM, Vec::new());
    for (stage, (outputs, pooled)) in (1..).zip(STAGES) {
        for (number, outputs) in (1..).zip(outputs) {
            let name = format!("backbone__model{stage}_dp{number}");
            value = builder.unit(&value, &name, [inputs, outputs], true)?;
            inputs = outputs;
        }
        if stage >= FIRST_LEVEL {
            levels.push(value.clone());
        }
        if pooled {
            value = builder.pool(&value);
        }
    }
    builder.neck(&mut levels)?;
    builder.heads(&levels)?;
    Ok(builder.graph.file())
}

struct Builder<'a> {
    symbols: Symbols<'a>,
    graph: Graph,
}

impl Builder<'_> {
    /// The first convolution, 3x3 of stride 2, with its activation. Its 27 weights per output lie in rows of 32, in the
    /// order row, column, channel.
    fn stem(&mut self, input: &str) -> Result<String, FormatError> {
        const TAPS: usize = 27;
        const ROW: usize = 32;
        let stored = self.symbols.floats("backbone__model0_pw_weight", STEM * ROW)?;
        let mut filters = vec![0.0; STEM * TAPS];
        for (filter, stored) in filters.chunks_exact_mut(TAPS).zip(stored.chunks_exact(ROW)) {
            for (tap, weight) in stored[..TAPS].iter().enumerate() {
                filter[tap % 3 * 9 + tap / 3] = *weight;
            }
        }
        let biases = self.symbols.floats("backbone__model0_pw_bias", STEM)?;
        let filters = self.graph.floats("stem.filters".to_owned(), &[STEM, 3, 3, 3], &filters);
        let biases = self.graph.floats("stem.biases".to_owned(), &[STEM], &biases);
        let attributes = [
            Attribute::Ints("kernel_shape", &[3, 3]),
            Attribute::Ints("pads", &[1; 4]),
            Attribute::Ints("strides", &[2, 2]),
        ];
        let value = self.graph.node("stem".to_owned(), "Conv", &[input, &filters, &biases], &attributes);
        Ok(self.relu(&value))
    }

    /// A 1x1 convolution, then a 3x3 depthwise one, whose weights are stored `[tap][channel]`.
    fn unit(
        &mut self,
        input: &str,
        name: &str,
        [inputs, outputs]: [usize; 2],
        activated: bool,
    ) -> Result<String, FormatError> {
        let [dense, depthwise] = [format!("{name}_pw"), format!("{name}_dw")];
        let weights = self.symbols.floats(&format!("{dense}_weight"), outputs * inputs)?;
        let filters = self.graph.floats(format!("{dense}.filters"), &[outputs, inputs, 1, 1], &weights);
        let biases = self.symbols.floats(&format!("{dense}_bias"), outputs)?;
        let biases = self.graph.floats(format!("{dense}.biases"), &[outputs], &biases);
        let kernel = [Attribute::Ints("kernel_shape", &[1, 1])];
        let value = self.graph.node(dense, "Conv", &[input, &filters, &biases], &kernel);

        let stored = self.symbols.floats(&format!("{depthwise}_weight"), 9 * outputs)?;
        let weights: Vec<f32> =
            (0..outputs).flat_map(|output| stored[output..].iter().step_by(outputs).copied()).collect();
        let filters = self.graph.floats(format!("{depthwise}.filters"), &[outputs, 1, 3, 3], &weights);
        let biases = self.symbols.floats(&format!("{depthwise}_bias"), outputs)?;
        let biases = self.graph.floats(format!("{depthwise}.biases"), &[outputs], &biases);
        let attributes = [
            Attribute::Int("group", outputs),
            Attribute::Ints("kernel_shape", &[3, 3]),
            Attribute::Ints("pads", &[1; 4]),
        ];
        let value = self.graph.node(depthwise, "Conv", &[&value, &filters, &biases], &attributes);
        Ok(if activated { self.relu(&value) } else { value })
    }

    fn relu(&mut self, input: &str) -> String {
        self.graph.node(format!("{input}.relu"), "Relu", &[input], &[])
    }

    fn pool(&mut self, input: &str) -> String {
        let attributes = [Attribute::Ints("kernel_shape", &[2, 2]), Attribute::Ints("strides", &[2, 2])];
        self.graph.node(format!("{input}.pool"), "MaxPool", &[input], &attributes)
    }

    /// From the coarsest level up, each level plus the coarser one in twice the size, through a unit.
    fn neck(&mut self, levels: &mut [String]) -> Result<(), FormatError> {
        let scales = self.graph.floats("scales".to_owned(), &[4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes = [
            Attribute::Text("coordinate_transformation_mode", "asymmetric"),
            Attribute::Text("mode", "nearest"),
            Attribute::Text("nearest_mode", "floor"),
        ];
        let mut coarser: Option<String> = None;
        for (number, level) in levels.iter_mut().enumerate().rev() {
            let name = format!("neck__lateral_convs__{number}");
            if let Some(coarser) = coarser {
                let doubled =
                    self.graph.node(format!("{coarser}.doubled"), "Resize", &[&coarser, "", &scales], &attributes);
                *level = self.graph.node(format!("{name}.sum"), "Add", &[level, &doubled], &[]);
            }
            *level = self.unit(level, &name, [CHANNELS; 2], true)?;
            coarser = Some(level.clone());
        }
        Ok(())
    }

    fn heads(&mut self, levels: &[String]) -> Result<(), FormatError> {
        for (head, channels, probability) in HEADS {
            let shape = self.graph.ints(format!("{head}.shape"), &[1, -1, channels as i64]);
            for ((number, stride), level) in STRIDES.into_iter().enumerate().zip(levels) {
                let name = format!("bbox_head__multi_level_{head}__{number}");
                let value = self.unit(level, &name, [CHANNELS, channels], false)?;
                let last = [Attribute::Ints("perm", &[0, 2, 3, 1])];
                let value = self.graph.node(format!("{value}.cells"), "Transpose", &[&value], &last);
                let output = format!("{head}_{stride}");
                let reshaped = if probability { format!("{output}.logit") } else { output.clone() };
                let value = self.graph.node(reshaped, "Reshape", &[&value, &shape], &[]);
                if probability {
                    self.graph.node(output.clone(), "Sigmoid", &[&value], &[]);
                }
                self.graph.output(&output, &[Dim::Size(1), Dim::Unknown, Dim::Size(channels)]);
            }
        }
        Ok(())
    }
}
