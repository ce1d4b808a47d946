//! The "General" SMS interface and its presets, which differ only in name.

use crate::family::general::{General, preset};

pub(crate) static ALHAMBRA: General = preset("alhambra", "Alhambra IT");
pub(crate) static ATHENA: General = preset("athena", "Athena");
pub(crate) static GENERAL: General = preset("general", "General SMS");
pub(crate) static IXICA: General = preset("ixica", "IXICA");
pub(crate) static NETPLANET: General = preset("netplanet", "NETPLANET");
pub(crate) static VETTA: General = preset("vetta", "Vetta");
