//! From files of question–answer rows to passages in the order of an epoch. Knows texts and lengths;
//! tokens and models stay outside.
