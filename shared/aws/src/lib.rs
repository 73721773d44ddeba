//! The stores, pushes and queue of the serverless service: DynamoDB, S3, API Gateway's management API and SQS.
//!
//! Everything but pictures lies in one table. `shard` is a number below [`SHARDS`] chosen by the student (for an event,
//! by its id), so that writers spread and every question is a query of known partitions: nothing scans.
//!
//! ```text
//! partition (pk)     row (sk)                     what
//! gallery#<shard>    version                      number of the shard's last change, and what it counts
//!                    student#<id>                 a student and the embeddings stored for him
//!                    face#<id>#<digest>           one picture's embeddings and who asks for them; `version` is the
//!                                                 change that added them
//!                    gone#<id>#<enrolment>        an erased picture; `version` is the change that erased it
//! cooldown#<key>     cooldown                     when the last event of this key was accepted
//! event#<shard>      <event id>                   an accepted event with its tries
//! connections        <connection id>              a subscriber
//! messages           seq                          the last number given to a push
//!                    message#<seq>                a push, kept for subscribers that come back
//! ```
//!
//! Three local indexes order the rows of a partition by another attribute. Unlike global ones they are read
//! consistently: `changes` by `version`, `due` by the time of an event's next try (pending ones alone), `status` by
//! `status_id`. Rows with `expires` are deleted by DynamoDB some time after it, so whoever
//! acts on one looks at it; an ended event is listed until then.
//!
//! ```text
//! bucket
//! photos/<student>/<digest>-<enrolment>.<ext>       a picture as it was sent
//! photos/<student>/<digest>-<enrolment>-<n>.face.jpg  the faces cut out of it
//! snapshots/<model>.gallery                         the gallery, packed; see `gallery/snapshot.rs`
//! known_faces/<student>/<name>                      the inbox: pictures put there to be enrolled
//! reports/<student>/<name>.json                     why one of them was refused
//! ```

#![forbid(unsafe_code)]

mod backoff;
mod bucket;
mod clients;
mod error;
mod events;
mod gallery;
mod inbox;
mod push;
mod settings;
mod table;
mod wakeups;

pub use bucket::Upload;
pub use clients::{Aws, environment};
pub use error::SecretError;
pub use events::DynamoEvents;
pub use gallery::{DynamoGallery, SHARDS};
pub use inbox::S3Inbox;
pub use push::{ApiGatewayPush, MAX_MESSAGE_BYTES};
pub use settings::AwsSettings;
pub use wakeups::SqsWakeups;
