//! What keeps a table from going, and what would not come back with it.

use tokio_postgres::Client;

use super::super::{Table, ask, dependent_definition, get};
use crate::domain::Problem;
use crate::recipe::{Dependent, Refused};

/// What depends on the table, on what belongs to it, or on its type, and does not go with it; and the views
/// of that which could go, and come back.
pub(super) async fn dependents(
    client: &Client,
    table: &Table,
) -> Result<(Vec<Refused>, Vec<Dependent>), Problem> {
    let rows = ask(
        client,
        "the dependents",
        "with recursive own (classid, objid) as (
             select 'pg_catalog.pg_class'::regclass::oid, $1::oid
             union
             select d.classid, d.objid
               from own o
               join pg_catalog.pg_depend d on d.refclassid = o.classid and d.refobjid = o.objid
              where d.deptype in ('a', 'i', 'P', 'S')
         )
         select distinct d.classid::regclass::text as class, coalesce(w.ev_class, d.objid) as id,
                case when w.oid is null then pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
                     else pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, w.ev_class, 0) end as what
           from own o
           join pg_catalog.pg_depend d on d.refclassid = o.classid and d.refobjid = o.objid
           left join pg_catalog.pg_rewrite w on d.classid = 'pg_catalog.pg_rewrite'::regclass and w.oid = d.objid
          where d.deptype not in ('a', 'i', 'P', 'S')
            and not exists (select from own x where x.classid = d.classid and x.objid = d.objid)
          order by 3",
        &[&table.oid],
    )
    .await?;
    let (mut refused, mut known) = (Vec::new(), Vec::new());
    for row in &rows {
        let (class, what): (String, String) = (get(row, "class")?, get(row, "what")?);
        let class_name = class.rsplit('.').next().unwrap_or(&class);
        // A policy of another table decides on that one's rows.
        if class_name == "pg_rewrite" {
            known.extend(dependent_definition::read(client, class_name, get(row, "id")?, &what).await?);
        }
        refused.push(Refused {
            what,
            why: reason(&class).to_owned(),
        });
    }
    Ok((refused, known))
}

/// Why a table cannot go while an object depends on it, by the catalog that the object is in.
fn reason(class: &str) -> &'static str {
    match class.rsplit('.').next().unwrap_or(class) {
        "pg_rewrite" => "it reads the table; make it anew without it, or drop it first",
        "pg_constraint" => "it refers to the table; drop it first: shipctl plan drop-constraint",
        "pg_proc" => {
            "it takes or gives rows of the table, or its body (BEGIN ATOMIC) uses it; make it anew without, or drop it first"
        }
        "pg_attrdef" => {
            "it counts on a sequence that the table owns and that would go with it; ALTER SEQUENCE … OWNED BY NONE first"
        }
        "pg_policy" => "row security of another table rests on it; make the policy anew without it first",
        "pg_class" => {
            "it is made of the table, or a column of it has the type of its rows; drop or change that first"
        }
        _ => "it depends on the table; drop it first",
    }
}

/// What goes with the table and would not come back.
pub(super) async fn lost(client: &Client, table: &Table) -> Result<Vec<Refused>, Problem> {
    let rows = ask(
        client,
        "what could not be brought back",
        "with recursive own (classid, objid) as (
             select 'pg_catalog.pg_class'::regclass::oid, $1::oid
             union
             select d.classid, d.objid
               from own o
               join pg_catalog.pg_depend d on d.refclassid = o.classid and d.refobjid = o.objid
              where d.deptype in ('a', 'i', 'P', 'S')
         )
         select pg_catalog.format('extension %I', e.extname) as what,
                case d.deptype when 'e' then 'the table belongs to it; it goes with DROP EXTENSION'
                     else 'something of the table depends on it (DEPENDS ON EXTENSION), which would not come back; '
                          'take that back first (NO DEPENDS ON EXTENSION)' end as why
           from own o
           join pg_catalog.pg_depend d on d.classid = o.classid and d.objid = o.objid and d.deptype in ('e', 'x')
           join pg_catalog.pg_extension e on d.refclassid = 'pg_catalog.pg_extension'::regclass and e.oid = d.refobjid
         union
         select 'security label of ' || pg_catalog.pg_describe_object(l.classoid, l.objoid, l.objsubid),
                'its provider would have to give it again; remove it first'
           from own o join pg_catalog.pg_seclabel l on l.classoid = o.classid and l.objoid = o.objid
         union
         select pg_catalog.format('index %I', c.relname),
                'it is left of a build that failed; drop it first: DROP INDEX CONCURRENTLY ' || c.oid::regclass
           from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
          where i.indrelid = $1 and not (i.indisvalid and i.indisready)
         union
         select 'subscription ' || pg_catalog.quote_ident(s.subname),
                'it brings rows to the table; take the table out of its publication, and refresh the subscription, first'
           from pg_catalog.pg_subscription_rel r
           join (select oid, subname from pg_catalog.pg_subscription) s on s.oid = r.srsubid
          where r.srrelid = $1
         union
         select pg_catalog.format('sequence %s', q.seqrelid::regclass),
                'the identity has another type than its column, which would not come back; ALTER SEQUENCE … AS first'
           from pg_catalog.pg_depend d
           join pg_catalog.pg_sequence q on q.seqrelid = d.objid
           join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
          where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
            and d.refobjid = $1 and d.deptype = 'i' and q.seqtypid <> a.atttypid
         union
         select 'privileges given by ' || r.rolname,
                'they would come back as given by the owner, so that revoking them would take another way; give them as the '
                'owner first'
           from pg_catalog.pg_class c
          cross join lateral pg_catalog.aclexplode(c.relacl) x
           join pg_catalog.pg_roles r on r.oid = x.grantor
          where c.oid = $1 and x.grantor <> c.relowner
         order by 1",
        &[&table.oid],
    )
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Refused {
                what: get(row, "what")?,
                why: get(row, "why")?,
            })
        })
        .collect()
}
