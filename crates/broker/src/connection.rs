//! One connection: frames in, ordered replies out, bounded bytes in flight.
