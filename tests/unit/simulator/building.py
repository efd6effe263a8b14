"""What the machine in memory does to make artifacts: wheels and images, each once."""

from collections.abc import Generator

from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Adopt, Cascade, Package, TemplateBuild
from controller.model.errors import PartlyFailed, Terminal
from controller.model.record import HeldBack, ReleaseRecord
from controller.model.record_part import Artifact
from controller.model.template_record import FullBuild, TemplateRecord
from tests.unit.simulator.box import BASE_NAME, image_id, sha
from tests.unit.simulator.holdings import Holdings, Steps


class Building(Holdings):
    """Adopts, packages and cascades."""

    def _adopt(self, document: WorkspaceRuntime, action: Adopt) -> Steps:
        assert action.version in self.index, "adopted what no index serves"
        recorded = self.records.get(action.version)
        assert recorded is None or recorded.published_time is None, "adopted what is recorded as published"
        yield 2.0
        self._answers("index", "The package index")
        self.records[action.version] = self._record(
            document, action.version, self.index[action.version], None
        ).published(self.now())
        self._followed(document, self.records[action.version])
        return "as the index serves it"

    def _package(self, document: WorkspaceRuntime, action: Package) -> Steps:
        earlier = self.records.get(action.version)
        assert action.version not in self.index, "built what the index already serves"
        assert earlier is None or earlier.tree_sha256 != action.tree_sha256, "built what is recorded"
        tree = self.tree
        yield from self._built_once(f"package {action.version} {tree}", 4.0)
        yield 0.5
        assert action.version not in self.index, "new bytes for a public version"
        self.records[action.version] = self._record(
            document, action.version, sha(f"wheel {action.version} {tree}"), tree
        )
        return "wheel and sdist"

    def _record(
        self, document: WorkspaceRuntime, version: str, wheel: str, tree: str | None
    ) -> ReleaseRecord:
        return ReleaseRecord(
            package=document.spec.package.name,
            version=version,
            publisher=document.key,
            tree_sha256=tree,
            wheel=Artifact(file=f"x-{version}-py3-none-any.whl", sha256=wheel, size=1),
            content_sha256=sha(f"content of {wheel}"),
        )

    def _cascade(self, document: WorkspaceRuntime, action: Cascade) -> Steps:
        made: dict[str, TemplateRecord] = {}
        shadows: dict[str, TemplateRecord] = {}
        failed = []
        for build in action.builds:
            full_build = self._full_build(build)
            image = image_id(build.template, action.wheel_sha256, full_build.digest)
            self.builds.append((action.version, build.template, build.base or build.inputs_sha256))
            yield from self._built_once(f"image {image}", 2.0)
            if (action.version, build.template) in self.bad_builds:
                failed.append(build)
                continue
            reference = f"{self._template(document, build.template).image}:candidate-{sha(image)[:8]}"
            self.images[reference] = image
            (shadows if build.base else made)[build.template] = TemplateRecord(
                image=reference,
                image_id=image,
                full_build=full_build,
                reason=build.reason,
                before=build.before,
                after=build.after,
            )
        yield 0.5
        record = self.records[action.version]
        if record.wheel.sha256 == action.wheel_sha256:
            for name, template in made.items():
                record = record.with_template(name, template.following(record.templates.get(name)))
            for name, shadow in shadows.items():
                record = record.with_shadow(name, shadow)
            for build in failed:
                cause = self._build_held_back(document, build)
                record = record.holding_back(build.template, cause) if cause is not None else record
            self.records[action.version] = record
        final = [build.template for build in failed if self._build_held_back(document, build) is None]
        if final:
            raise PartlyFailed(
                {
                    name: Terminal(
                        Reason.BUILD_FAILED,
                        f"Template {name}: pip found nothing.",
                        fix="Correct the template.",
                    )
                    for name in final
                }
            )
        return f"{len(made) + len(shadows)} images"

    def _full_build(self, build: TemplateBuild) -> FullBuild:
        """Return the full build that an image is put on: the last one, or another one when that is asked for."""
        if build.base is not None:
            served = f"{build.template}:served"
            return FullBuild(
                image=served, digest=build.base, inputs_sha256=build.base.removeprefix("sha256:")
            )
        known = self.full_builds.get(build.template)
        if known is None or build.rebuild:
            bases = dict(build.bases) or {BASE_NAME: self.base}
            made_of = f"{build.template} {build.inputs_sha256} {bases} {build.request}"
            digest = f"sha256:{sha(made_of)}"
            known = FullBuild(
                image=f"{build.template}:full",
                digest=digest,
                inputs_sha256=build.inputs_sha256,
                inputs=build.inputs,
                bases=bases,
                request=build.request,
            )
            self.full_builds[build.template] = known
        return known

    def _build_held_back(self, document: WorkspaceRuntime, build: TemplateBuild) -> HeldBack | None:
        if build.base is not None:
            text = f"Template {build.template}: it lacks what the wheel requires."
            return HeldBack(reason=Reason.UNTESTED, message=text, refused=(build.base,), time=self.now())
        if self._template(document, build.template).gate != "AllowFailure":
            return None
        text = f"Template {build.template}: pip found nothing."
        return HeldBack(
            reason=Reason.BUILD_FAILED,
            message=text,
            refused=(build.inputs_sha256,),
            request=build.request,
            time=self.now(),
        )

    def _built_once(self, what: str, seconds: float) -> Generator[float, None, None]:
        assert what not in self.under_construction, f"two builds of one input at a time: {what}"
        self.under_construction.add(what)
        try:
            yield seconds
        finally:
            self.under_construction.discard(what)
