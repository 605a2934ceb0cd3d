//! Compile Model to Snapshot; explain; carry over; publish; retire.
