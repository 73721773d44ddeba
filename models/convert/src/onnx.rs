//! Writes ONNX: the few messages of `onnx.proto3` that our graphs need, and a graph that is built node by node.

use prost::Message;

/// Pad takes its widths as an input from operator set 11 on; tract and ONNX Runtime both read 13.
const OPERATOR_SET: i64 = 13;
/// The file format that came with operator set 13.
const IR_VERSION: i64 = 7;

/// Part of every converted file, and so of its checksum in the manifest.
const PRODUCER: &str = "attendance-models";

const FLOAT: i32 = 1;
const INT64: i32 = 7;

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphMessage>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct GraphMessage {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "3")]
    i: i64,
    #[prost(bytes = "vec", tag = "4")]
    s: Vec<u8>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfo {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShape>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(oneof = "DimensionValue", tags = "1, 2")]
    value: Option<DimensionValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum DimensionValue {
    #[prost(int64, tag = "1")]
    Size(i64),
    #[prost(string, tag = "2")]
    Symbol(String),
}

/// One side of an input or output.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dim {
    Size(usize),
    /// Free, and the same wherever the symbol stands.
    Symbol(&'static str),
    /// Free, and left to the reader to work out.
    Unknown,
}

/// A constant that belongs to a node, with its name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attribute<'a> {
    Int(&'a str, usize),
    Ints(&'a str, &'a [usize]),
    Text(&'a str, &'a str),
}

impl Attribute<'_> {
    fn message(self) -> AttributeMessage {
        const INT: i32 = 2;
        const STRING: i32 = 3;
        const INTS: i32 = 7;
        let of = |name: &str, kind| AttributeMessage { name: name.to_owned(), kind, ..AttributeMessage::default() };
        match self {
            Self::Int(name, value) => AttributeMessage { i: value as i64, ..of(name, INT) },
            Self::Ints(name, values) => {
                AttributeMessage { ints: values.iter().map(|&value| value as i64).collect(), ..of(name, INTS) }
            }
            Self::Text(name, text) => AttributeMessage { s: text.as_bytes().to_vec(), ..of(name, STRING) },
        }
    }
}

/// A graph that takes and gives `f32` tensors. Nodes are added in the order of execution; a value's name is that of
/// the node that makes it.
pub(crate) struct Graph {
    message: GraphMessage,
}

impl Graph {
    pub(crate) fn new(name: &str) -> Self {
        Self { message: GraphMessage { name: name.to_owned(), ..GraphMessage::default() } }
    }

    /// Adds an input and returns its name.
    pub(crate) fn input(&mut self, name: &str, shape: &[Dim]) -> String {
        self.message.input.push(value_info(name, shape));
        name.to_owned()
    }

    /// Adds constant numbers and returns their name.
    pub(crate) fn floats(&mut self, name: String, dims: &[usize], values: &[f32]) -> String {
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, dims, FLOAT, raw_data)
    }

    /// Adds constant integers and returns their name.
    pub(crate) fn ints(&mut self, name: String, values: &[i64]) -> String {
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, &[values.len()], INT64, raw_data)
    }

    fn initializer(&mut self, name: String, dims: &[usize], data_type: i32, raw_data: Vec<u8>) -> String {
        let dims = dims.iter().map(|&side| side as i64).collect();
        self.message.initializer.push(Tensor { dims, data_type, name: name.clone(), raw_data });
        name
    }

    /// Adds a node with one output and returns the output's name, which is `name`.
    pub(crate) fn node(
        &mut self,
        name: String,
        operator: &str,
        inputs: &[&str],
        attributes: &[Attribute<'_>],
    ) -> String {
        self.message.node.push(Node {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: operator.to_owned(),
            attribute: attributes.iter().map(|attribute| attribute.message()).collect(),
        });
        name
    }

    /// The whole file, with the last node's value as the output under `name`.
    pub(crate) fn finish(mut self, name: &str, shape: &[Dim]) -> Vec<u8> {
        if let Some(last) = self.message.node.last_mut() {
            last.output = vec![name.to_owned()];
        }
        self.output(name, shape);
        self.file()
    }

    /// Makes the value of this name an output.
    pub(crate) fn output(&mut self, name: &str, shape: &[Dim]) {
        self.message.output.push(value_info(name, shape));
    }

    /// Returns the whole file.
    pub(crate) fn file(self) -> Vec<u8> {
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: PRODUCER.to_owned(),
            graph: Some(self.message),
            opset_import: vec![OperatorSet { domain: String::new(), version: OPERATOR_SET }],
        };
        model.encode_to_vec()
    }
}

fn value_info(name: &str, shape: &[Dim]) -> ValueInfo {
    let dim = shape
        .iter()
        .map(|dim| Dimension {
            value: match *dim {
                Dim::Size(size) => Some(DimensionValue::Size(size as i64)),
                Dim::Symbol(symbol) => Some(DimensionValue::Symbol(symbol.to_owned())),
                Dim::Unknown => None,
            },
        })
        .collect();
    let tensor_type = TensorType { elem_type: FLOAT, shape: Some(TensorShape { dim }) };
    ValueInfo { name: name.to_owned(), r#type: Some(Type { tensor_type: Some(tensor_type) }) }
}
