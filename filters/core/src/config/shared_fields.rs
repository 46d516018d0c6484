//! Fields that sections of the configuration have in common.

/// Structs that have fields in common: those stand behind the fields of each, or where `} .. {` parts them.
///
/// `#[serde(flatten)]` needs no macro, but loses the path of a mistake, and the known keys beside an unknown one.
macro_rules! shared_fields {
    (@ $(#[$about:meta])* $name:ident { $($first:tt)* } { $($shared:tt)* } $({ $($last:tt)* })?) => {
        $(#[$about])*
        pub struct $name { $($first)* $($shared)* $($($last)*)? }
    };
    ($shared:tt $($(#[$about:meta])* pub struct $name:ident $first:tt $(.. $last:tt)?)+) => {
        $(shared_fields!(@ $(#[$about])* $name $first $shared $($last)?);)+
    };
}

pub(crate) use shared_fields;
