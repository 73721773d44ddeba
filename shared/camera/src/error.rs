use attendance::ports::ScanError;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no frame. The messages are for the person who named the source.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A source is neither a URL nor a file or folder that can be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The source.
        path: String,
        /// Why not.
        #[source]
        cause: Cause,
    },
    /// A file is not a picture, or is larger than a picture may be.
    #[error("{file}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        cause: ScanError,
    },
    /// Nothing answers at a URL.
    #[error("{url} does not answer")]
    NoAnswer {
        /// The URL.
        url: String,
        /// What happened instead.
        #[source]
        cause: Cause,
    },
    /// A URL answers with an HTTP error.
    #[error("{url} cannot be watched")]
    Refused {
        /// The URL.
        url: String,
        /// The HTTP error.
        #[source]
        cause: Cause,
    },
    /// A URL answers with something other than a stream of JPEGs.
    #[error("{url} is not a stream of JPEGs: it does not begin with a delimiter line")]
    NotAStream {
        /// The URL.
        url: String,
    },
    /// A stream has sent nothing for 15 seconds.
    #[error("{url} fell silent")]
    Silent {
        /// The URL.
        url: String,
    },
    /// A stream broke off, or one of its frames is larger than a picture may be.
    #[error("the stream of {url} broke")]
    Broken {
        /// The URL.
        url: String,
        /// Why.
        #[source]
        cause: Cause,
    },
}
