//! dlib's networks, layer by layer in the order of the forward pass.
//!
//! A network is nested: a layer holds the layer below it. The file has first the version of every layer, from the
//! outermost in, then the contents of every layer, from the innermost out.

use attendance_models::dlib::{FormatError, Reader};

/// What stands at one place of an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Convolution,
    /// Scale and shift of each channel, as such or as a batch normalisation at rest.
    Affine,
    Relu,
    MaxPool,
    AveragePool,
    /// A name for the value that came so far.
    Tag(u8),
    /// Goes on with a tagged value.
    Skip(u8),
    /// Adds a tagged value.
    AddPrevious(u8),
    Dense,
}

/// A layer with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Layer {
    Convolution(Convolution),
    Affine(Affine),
    Relu,
    MaxPool(Pool),
    AveragePool(Pool),
    Tag(u8),
    Skip(u8),
    AddPrevious(u8),
    Dense(Dense),
}

/// A convolution; as in ONNX, a correlation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Convolution {
    /// Output channels, input channels, rows, columns.
    pub shape: [usize; 4],
    /// In the order of `shape`.
    pub filters: Vec<f32>,
    /// One an output channel.
    pub biases: Vec<f32>,
    /// Rows, columns.
    pub stride: [usize; 2],
    /// Rows, columns; on both sides.
    pub padding: [usize; 2],
}

/// `gamma * x + beta` in each channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Affine {
    pub gamma: Vec<f64>,
    pub beta: Vec<f64>,
}

/// A pooling window; of size 0, 0 where it covers everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pool {
    pub size: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
}

/// `x * weights`, without a bias.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dense {
    pub inputs: usize,
    pub outputs: usize,
    /// Row by row, one row an input.
    pub weights: Vec<f32>,
}

/// What a network was trained on; it fixes what its output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Distances: input of one fixed size.
    Metric,
    /// Detection windows: input of any size.
    Mmod,
}

/// A network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Net {
    /// In the order of the forward pass.
    pub layers: Vec<Layer>,
}

/// What is subtracted from red, green and blue before the division by 256.
const AVERAGE: [f32; 3] = [122.782, 117.001, 104.298];

impl Net {
    /// Returns the network of this loss and architecture in `bytes`.
    pub(crate) fn parse(file: &str, bytes: &[u8], loss: Loss, architecture: &[Kind]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(file, bytes);
        reader.expect_int(1, "the loss layer's version")?;
        read_loss(&mut reader, loss)?;
        let mut versions = vec![0; architecture.len()];
        for (index, kind) in architecture.iter().enumerate().rev() {
            let start = reader.clone();
            let version = reader.int()?;
            let known = match (index, kind) {
                (0, _) => matches!(version, 2 | 3),
                (_, Kind::Tag(_) | Kind::Skip(_)) => version == 1,
                _ => matches!(version, 1 | 2),
            };
            if !known {
                return Err(start.error(format!("layer {index} ({kind:?}) has the unknown version {version}")));
            }
            versions[index] = version;
        }
        read_input(&mut reader, loss)?;
        let mut layers = Vec::with_capacity(architecture.len());
        for (index, (&kind, version)) in architecture.iter().zip(versions).enumerate() {
            layers.push(read_layer(&mut reader, kind)?);
            if matches!(kind, Kind::Tag(_) | Kind::Skip(_)) {
                continue;
            }
            for _ in 0..3 {
                reader.bool()?;
            }
            // What training left behind: gradients and outputs.
            let tensors = if index == 0 { 3 } else { 1 + version };
            for _ in 0..tensors {
                reader.tensor()?;
            }
            if index == 0 && version == 3 {
                reader.int()?;
            }
        }
        reader.finish()?;
        Ok(Self { layers })
    }
}

fn read_name<'a>(reader: &mut Reader<'a>, known: &[&str]) -> Result<&'a str, FormatError> {
    let start = reader.clone();
    let name = reader.string()?;
    match known.contains(&name) {
        true => Ok(name),
        false => Err(start.error(format!("{name:?} stands where {} is expected", known.join(" or ")))),
    }
}

fn read_loss(reader: &mut Reader<'_>, loss: Loss) -> Result<(), FormatError> {
    match loss {
        Loss::Metric => {
            read_name(reader, &["loss_metric_2"])?;
            for _ in 0..2 {
                reader.float()?;
            }
        }
        Loss::Mmod => {
            read_name(reader, &["loss_mmod_"])?;
            reader.expect_int(1, "the version of the detector's options")?;
            // The decoding of the score in shared/vision holds for this window only.
            reader.expect_int(80, "the detection window's width")?;
            reader.expect_int(80, "the detection window's height")?;
            for _ in 0..7 {
                reader.float()?;
            }
        }
    }
    Ok(())
}

fn read_input(reader: &mut Reader<'_>, loss: Loss) -> Result<(), FormatError> {
    let name = match loss {
        Loss::Metric => "input_rgb_image_sized",
        Loss::Mmod => "input_rgb_image_pyramid",
    };
    read_name(reader, &[name])?;
    for expected in AVERAGE {
        let start = reader.clone();
        let found = reader.finite()?;
        if found != expected {
            return Err(start.error(format!("an average colour is {found}, not {expected}")));
        }
    }
    if loss == Loss::Metric {
        reader.expect_int(150, "the input's height")?;
        reader.expect_int(150, "the input's width")?;
    }
    Ok(())
}

fn read_layer(reader: &mut Reader<'_>, kind: Kind) -> Result<Layer, FormatError> {
    Ok(match kind {
        Kind::Convolution => Layer::Convolution(read_convolution(reader)?),
        Kind::Affine => Layer::Affine(read_affine(reader)?),
        Kind::Relu => {
            if read_name(reader, &["relu_", "relu_2"])? == "relu_2" {
                reader.bool()?;
            }
            Layer::Relu
        }
        Kind::MaxPool => Layer::MaxPool(read_pool(reader, "max_pool_2")?),
        Kind::AveragePool => Layer::AveragePool(read_pool(reader, "avg_pool_2")?),
        Kind::Tag(tag) => Layer::Tag(tag),
        Kind::Skip(tag) => Layer::Skip(tag),
        Kind::AddPrevious(tag) => {
            read_name(reader, &["add_prev_"])?;
            Layer::AddPrevious(tag)
        }
        Kind::Dense => Layer::Dense(read_dense(reader)?),
    })
}

fn pair(reader: &mut Reader<'_>) -> Result<[usize; 2], FormatError> {
    Ok([reader.size()?, reader.size()?])
}

fn learning_rates(reader: &mut Reader<'_>) -> Result<(), FormatError> {
    for _ in 0..4 {
        reader.float()?;
    }
    Ok(())
}

fn read_convolution(reader: &mut Reader<'_>) -> Result<Convolution, FormatError> {
    let start = reader.clone();
    let name = read_name(reader, &["con_4", "con_5", "con_6"])?;
    let mut filters = reader.tensor()?;
    let (count, size) = (reader.size()?, pair(reader)?);
    let (stride, padding) = (pair(reader)?, pair(reader)?);
    let (shape, biases) = (reader.alias()?, reader.alias()?);
    learning_rates(reader)?;
    if name != "con_4" && !reader.bool()? {
        return Err(start.error("a convolution has no bias"));
    }
    if name == "con_6" && reader.bool()? {
        return Err(start.error("a convolution holds its own relu"));
    }
    let weights = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    let fits = shape[0] == count
        && [shape[2], shape[3]] == size
        && !stride.contains(&0)
        && !shape.contains(&0)
        && biases == [1, count, 1, 1]
        && weights.and_then(|weights| weights.checked_add(count)) == Some(filters.len());
    if !fits {
        return Err(start.error(format!("a convolution of {shape:?} does not fit its {} parameters", filters.len())));
    }
    let biases = filters.split_off(filters.len() - count);
    Ok(Convolution { shape, filters, biases, stride, padding })
}

fn read_affine(reader: &mut Reader<'_>) -> Result<Affine, FormatError> {
    let start = reader.clone();
    let name = read_name(reader, &["affine_", "affine_2", "bn_con2"])?;
    let parameters = reader.tensor()?;
    let (gamma, beta) = (reader.alias()?, reader.alias()?);
    if gamma != beta || gamma[1].checked_mul(2) != Some(parameters.len()) || gamma != [1, gamma[1], 1, 1] {
        return Err(start.error(format!("a scale of {gamma:?} does not fit its {} parameters", parameters.len())));
    }
    let channels = gamma[1];
    let mut gamma: Vec<f64> = parameters[..channels].iter().copied().map(f64::from).collect();
    let mut beta: Vec<f64> = parameters[channels..].iter().copied().map(f64::from).collect();
    if name != "bn_con2" {
        reader.int()?;
        if name == "affine_2" {
            reader.bool()?;
        }
        return Ok(Affine { gamma, beta });
    }
    reader.tensor()?;
    reader.tensor()?;
    let (means, variances) = (reader.tensor()?, reader.tensor()?);
    reader.int()?;
    reader.int()?;
    learning_rates(reader)?;
    let epsilon = reader.float()?;
    if means.len() != channels || variances.len() != channels {
        return Err(start.error(format!("{} means do not fit {channels} channels", means.len())));
    }
    // At rest a batch normalisation is an affine of its running statistics.
    for channel in 0..channels {
        let spread = (f64::from(variances[channel]) + epsilon).sqrt();
        if !(spread.is_finite() && spread > 0.0) {
            return Err(start.error(format!("channel {channel} has the standard deviation {spread}")));
        }
        gamma[channel] /= spread;
        beta[channel] -= gamma[channel] * f64::from(means[channel]);
    }
    Ok(Affine { gamma, beta })
}

fn read_pool(reader: &mut Reader<'_>, name: &str) -> Result<Pool, FormatError> {
    let start = reader.clone();
    read_name(reader, &[name])?;
    let pool = Pool { size: pair(reader)?, stride: pair(reader)?, padding: pair(reader)? };
    match pool.stride.contains(&0) {
        true => Err(start.error("a pooling window does not move")),
        false => Ok(pool),
    }
}

fn read_dense(reader: &mut Reader<'_>) -> Result<Dense, FormatError> {
    const NO_BIAS: i64 = 1;
    let start = reader.clone();
    let name = read_name(reader, &["fc_2", "fc_3"])?;
    let (outputs, inputs) = (reader.size()?, reader.size()?);
    let weights = reader.tensor()?;
    reader.alias()?;
    reader.alias()?;
    reader.expect_int(NO_BIAS, "the bias mode")?;
    learning_rates(reader)?;
    if name == "fc_3" {
        reader.bool()?;
    }
    match inputs.checked_mul(outputs) == Some(weights.len()) {
        true => Ok(Dense { inputs, outputs, weights }),
        false => Err(start.error(format!("{inputs} x {outputs} weights are not {}", weights.len()))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::write::{alias_bytes, float_bytes, int_bytes, string_bytes, tensor_bytes};
    use super::*;

    const ARCHITECTURE: [Kind; 4] = [Kind::Convolution, Kind::Affine, Kind::Tag(1), Kind::Relu];

    /// One convolution of one 1 x 1 filter on three channels, a batch normalisation, a tag and a relu.
    fn file() -> Vec<u8> {
        let empty = || tensor_bytes([0; 4], &[]);
        let rates = || float_bytes(1, 0).repeat(4);
        let average = [122.782f32, 117.001, 104.298].map(|value| {
            let (bits, exponent) = (value.to_bits(), i64::from(value.to_bits() >> 23) - 150);
            float_bytes(i64::from(bits & 0x7f_ffff | 0x80_0000), exponent)
        });
        [
            int_bytes(1),
            string_bytes("loss_mmod_"),
            [1, 80, 80].map(int_bytes).concat(),
            float_bytes(1, 0).repeat(7),
            // Versions, outermost first: relu, tag, normalisation, convolution.
            [2, 1, 2, 3].map(int_bytes).concat(),
            string_bytes("input_rgb_image_pyramid"),
            average.concat(),
            string_bytes("con_4"),
            tensor_bytes([4, 1, 1, 1], &[1.0, 2.0, 3.0, 0.5]),
            [1, 1, 1, 1, 1, 0, 0].map(int_bytes).concat(),
            alias_bytes([1, 3, 1, 1]),
            alias_bytes([1, 1, 1, 1]),
            rates(),
            b"010".to_vec(),
            empty().repeat(3),
            int_bytes(1),
            string_bytes("bn_con2"),
            tensor_bytes([2, 1, 1, 1], &[3.0, 10.0]),
            alias_bytes([1, 1, 1, 1]).repeat(2),
            empty().repeat(2),
            tensor_bytes([1, 1, 1, 1], &[2.0]),
            tensor_bytes([1, 1, 1, 1], &[2.0]),
            [7, 100].map(int_bytes).concat(),
            rates(),
            float_bytes(1, -2),
            b"000".to_vec(),
            empty().repeat(3),
            string_bytes("relu_"),
            b"000".to_vec(),
            empty().repeat(3),
        ]
        .concat()
    }

    fn parse(bytes: &[u8]) -> Result<Net, FormatError> {
        Net::parse("net.dat", bytes, Loss::Mmod, &ARCHITECTURE)
    }

    #[test]
    fn layers_come_in_the_order_of_the_forward_pass() {
        let net = parse(&file()).unwrap();
        let convolution = Convolution {
            shape: [1, 3, 1, 1],
            filters: vec![1.0, 2.0, 3.0],
            biases: vec![0.5],
            stride: [1, 1],
            padding: [0, 0],
        };
        // 3 / sqrt(2 + 0.25) = 2, and 10 - 2 * 2 = 6.
        let affine = Affine { gamma: vec![2.0], beta: vec![6.0] };
        let expected = [Layer::Convolution(convolution), Layer::Affine(affine), Layer::Tag(1), Layer::Relu];
        assert_eq!(net.layers, expected);
    }

    #[test]
    fn another_layer_another_version_and_another_end_are_refused_where_they_stand() {
        let bytes = file();
        for length in 0..bytes.len() {
            let error = parse(&bytes[..length]).unwrap_err();
            assert!(error.offset <= length, "{error}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(parse(&longer).unwrap_err().what.contains("1 bytes are left"));
        let relu = bytes.windows(5).position(|window| window == b"relu_").unwrap();
        let mut other = bytes.clone();
        other[relu] = b'p';
        let error = parse(&other).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("net.dat: at byte {}: \"pelu_\" stands where relu_ or relu_2 is expected", relu - 2)
        );
        let error = Net::parse("net.dat", &bytes, Loss::Metric, &ARCHITECTURE).unwrap_err();
        assert!(error.what.contains("loss_metric_2"), "{error}");
    }

    proptest! {
        #[test]
        fn changed_bytes_never_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
            let mut bytes = file();
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            if let Err(error) = parse(&bytes) {
                prop_assert!(error.offset <= bytes.len());
            }
        }
    }
}
