//! How an object that depends on a column or table would be dropped, and made again: triggers, policies, extended statistics, and views
//! that nothing else rests on.

use tokio_postgres::Client;

use super::{ask, get};
use crate::domain::{Problem, SqlIdentifier};
use crate::recipe::Dependent;

const TRIGGER: &str = "
    select (select n.nspname::text from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where c.oid = t.tgrelid) as schema,
           t.tgname::text as name, format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass) as gone,
           array_remove(array[
               pg_get_triggerdef(t.oid),
               case t.tgenabled when 'O' then null else format('ALTER TABLE %s %s TRIGGER %I', t.tgrelid::regclass,
                    case t.tgenabled when 'D' then 'DISABLE' when 'R' then 'ENABLE REPLICA' else 'ENABLE ALWAYS' end, t.tgname) end,
               format('COMMENT ON TRIGGER %I ON %s IS ', t.tgname, t.tgrelid::regclass)
                   || quote_literal(obj_description(t.oid, 'pg_trigger'))], null) as made
      from pg_catalog.pg_trigger t where t.oid = $1";

const POLICY: &str = "
    select (select n.nspname::text from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where c.oid = p.polrelid) as schema,
           p.polname::text as name, format('DROP POLICY %I ON %s', p.polname, p.polrelid::regclass) as gone,
           array_remove(array[
               format('CREATE POLICY %I ON %s%s FOR %s TO %s%s%s', p.polname, p.polrelid::regclass,
                      case when p.polpermissive then '' else ' AS RESTRICTIVE' end,
                      case p.polcmd when 'r' then 'SELECT' when 'a' then 'INSERT' when 'w' then 'UPDATE' when 'd' then 'DELETE'
                           else 'ALL' end,
                      (select string_agg(case when o.id = 0 then 'PUBLIC' else quote_ident(r.rolname) end, ', ' order by o.place)
                         from unnest(p.polroles) with ordinality o(id, place)
                         left join pg_catalog.pg_roles r on r.oid = o.id),
                      ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                      ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
               format('COMMENT ON POLICY %I ON %s IS ', p.polname, p.polrelid::regclass)
                   || quote_literal(obj_description(p.oid, 'pg_policy'))], null) as made
      from pg_catalog.pg_policy p where p.oid = $1";

const STATISTICS: &str = "
    select n.nspname::text as schema, s.stxname::text as name, format('DROP STATISTICS %I.%I', n.nspname, s.stxname) as gone,
           array_remove(array[
               pg_get_statisticsobjdef(s.oid),
               format('ALTER STATISTICS %I.%I SET STATISTICS ', n.nspname, s.stxname)
                   || nullif(to_jsonb(s) ->> 'stxstattarget', '-1'),
               (select format('ALTER STATISTICS %I.%I OWNER TO %I', n.nspname, s.stxname, r.rolname)
                  from pg_catalog.pg_roles r where r.oid = s.stxowner and r.rolname <> current_user),
               format('COMMENT ON STATISTICS %I.%I IS ', n.nspname, s.stxname)
                   || quote_literal(obj_description(s.oid, 'pg_statistic_ext'))], null) as made
      from pg_catalog.pg_statistic_ext s join pg_catalog.pg_namespace n on n.oid = s.stxnamespace
     where s.oid = $1";

/// Not one that something rests on, that is more than its query, or whose owner gave up rights of his own; nor one that default
/// privileges would give more rights than it had.
const VIEW: &str = "
    select (select n.nspname::text from pg_catalog.pg_namespace n where n.oid = c.relnamespace) as schema,
           c.relname::text as name, format('DROP VIEW %s', c.oid::regclass) as gone,
           array_remove(array[
               format(E'CREATE VIEW %s%s AS\\n%s', c.oid::regclass,
                      (select format(' WITH (%s)', string_agg(o, ', ')) from unnest(c.reloptions) o having count(*) > 0),
                      rtrim(pg_get_viewdef(c.oid), ';')),
               (select format('ALTER VIEW %s OWNER TO %I', c.oid::regclass, r.rolname)
                  from pg_catalog.pg_roles r where r.oid = c.relowner and r.rolname <> current_user),
               format('COMMENT ON VIEW %s IS ', c.oid::regclass) || quote_literal(obj_description(c.oid, 'pg_class'))]
           || array(select format('COMMENT ON COLUMN %s.%I IS %L', c.oid::regclass, a.attname, col_description(c.oid, a.attnum))
                      from pg_catalog.pg_attribute a
                     where a.attrelid = c.oid and a.attnum > 0 and col_description(c.oid, a.attnum) is not null
                     order by a.attnum)
           || array(select format('GRANT %s ON %s TO %s%s', x.privilege_type, c.oid::regclass,
                                  case when x.grantee = 0 then 'PUBLIC' else quote_ident(r.rolname) end,
                                  case when x.is_grantable then ' WITH GRANT OPTION' else '' end)
                      from pg_catalog.aclexplode(c.relacl) x left join pg_catalog.pg_roles r on r.oid = x.grantee
                     where x.grantee <> c.relowner and (x.grantee = 0 or r.rolname is not null)
                     order by 1), null) as made
      from pg_catalog.pg_class c
     where c.oid = $1 and c.relkind = 'v'
       and not exists (select from pg_catalog.pg_depend d
                        where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = c.oid and d.deptype <> 'i'
                          and not (d.classid = 'pg_catalog.pg_rewrite'::regclass
                                   and d.objid in (select w.oid from pg_catalog.pg_rewrite w where w.ev_class = c.oid)))
       and not exists (select from pg_catalog.pg_depend d join pg_catalog.pg_type t
                           on d.refclassid = 'pg_catalog.pg_type'::regclass and d.refobjid in (t.oid, t.typarray)
                        where t.typrelid = c.oid and d.deptype <> 'i')
       and not exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
       and not exists (select from pg_catalog.pg_rewrite w where w.ev_class = c.oid and w.rulename <> '_RETURN')
       and not exists (select from pg_catalog.pg_trigger t where t.tgrelid = c.oid)
       and not exists (select from pg_catalog.pg_attribute a
                        where a.attrelid = c.oid and (a.atthasdef or a.attacl is not null))
       and not exists (select from pg_catalog.pg_default_acl p
                        where p.defaclobjtype = 'r' and p.defaclnamespace in (0, c.relnamespace))
       and (c.relacl is null
            or (select array_agg(x.privilege_type order by x.privilege_type)
                  from pg_catalog.aclexplode(c.relacl) x where x.grantee = c.relowner)
               = (select array_agg(x.privilege_type order by x.privilege_type)
                    from pg_catalog.aclexplode(pg_catalog.acldefault('r', c.relowner)) x))";

/// How this object goes and comes back, where it can; `class` is the catalog it is in, without a schema.
pub(super) async fn read(
    client: &Client,
    class: &str,
    oid: u32,
    what: &str,
) -> Result<Option<Dependent>, Problem> {
    let query = match class {
        "pg_trigger" => TRIGGER,
        "pg_policy" => POLICY,
        "pg_statistic_ext" => STATISTICS,
        "pg_rewrite" => VIEW,
        _ => return Ok(None),
    };
    let rows = ask(client, "a dependent", query, &[&oid]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Dependent {
        schema: SqlIdentifier::from_catalog(get::<String>(row, "schema")?),
        name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
        what: what.to_owned(),
        drop: get(row, "gone")?,
        make: get(row, "made")?,
    }))
}
