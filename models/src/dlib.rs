//! Reads what dlib's `serialize` wrote: numbers, tensors and the two face networks.
//!
//! The format has no header, no lengths of parts and no names but those of layers, so a file is read against the
//! architecture that it must hold, to its last byte. Reading never allocates more than a small multiple of the file.

mod net;
mod reader;
#[cfg(test)]
mod write;

#[cfg(test)]
pub(crate) use net::Dense;
pub(crate) use net::{Affine, Convolution, Kind, Layer, Loss, Net, Pool};
pub use reader::{FormatError, Reader};
