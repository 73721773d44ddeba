//! What the service posts to the Attendance API.
