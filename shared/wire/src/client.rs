//! What WebSocket clients send.
