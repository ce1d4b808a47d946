//! The description of Facebook Messenger; its wire form is in `family/messenger`.

use crate::{
    contract::{About, Credential},
    family::messenger::{APP_ID, APP_SECRET, DEMAND_PROOF, Messenger, MetaProduct, RETRY, VERIFY_TOKEN},
};

pub(crate) static FACEBOOK: Messenger = Messenger {
    about: About {
        name: "facebook",
        title: "Facebook Messenger",
        credentials: &[
            Credential { key: "access_token", default: "EAAsimulated", purpose: "the page's token" },
            Credential { key: "page_id", default: "300000000000001", purpose: "the page" },
            APP_SECRET,
            VERIFY_TOKEN,
            APP_ID,
            DEMAND_PROOF,
        ],
        batch_max: 1_000,
        retry: RETRY,
        polls: false,
        customer: "7700112233",
    },
    product: MetaProduct::Facebook,
};
