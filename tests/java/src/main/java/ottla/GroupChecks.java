package ottla;

import static ottla.Checks.equal;
import static ottla.Checks.expect;
import static ottla.Checks.unique;
import static ottla.Checks.until;
import static ottla.Fixture.owned;
import static ottla.Fixture.pollAll;
import static ottla.Fixture.range;
import static ottla.Fixture.read;
import static ottla.Fixture.settle;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;

/** Groups: sharing, joining and leaving, static members, positions. */
final class GroupChecks {
    private final Fixture fixture;

    GroupChecks(Fixture fixture) {
        this.fixture = fixture;
    }

    void addTo(Checks checks) {
        checks.add("broadcasts_between_groups", this::broadcasts);
        checks.add("shares_partitions_among_members_that_join_and_leave", this::eager);
        checks.add("rebalances_cooperatively", this::cooperative);
        checks.add("static_members_keep_their_partitions_over_a_restart", this::staticMembers);
        checks.add("commits_and_resumes", this::commits);
        checks.add("a_member_that_stops_polling_loses_its_partitions", this::slowMember);
    }

    private void broadcasts() throws Exception {
        String topic = fixture.create(3);
        fixture.fill(topic, 90, 3);
        for (String group : List.of(unique("one"), unique("two"))) {
            try (var consumer = fixture.consumer(group)) {
                consumer.subscribe(List.of(topic));
                equal(new TreeSet<>(read(consumer, 90).stream().map(Fixture::number).toList()),
                        new TreeSet<>(range(0, 90)), group);
            }
        }
    }

    private void shared(String assignor) throws Exception {
        String topic = fixture.create(6);
        fixture.fill(topic, 60, 6);
        String group = unique("shared");
        List<KafkaConsumer<byte[], byte[]>> members = new ArrayList<>();
        for (List<Integer> sizes : List.of(List.of(6), List.of(3, 3), List.of(2, 2, 2))) {
            var member = fixture.consumer(group, "partition.assignment.strategy",
                    "org.apache.kafka.clients.consumer." + assignor);
            member.subscribe(List.of(topic));
            members.add(member);
            settle(members, sizes, 6);
        }
        members.remove(0).close();
        settle(members, List.of(3, 3), 6);
        fixture.fill(topic, 60, 6);
        Set<String> seen = new HashSet<>();
        until("each new record", () -> {
            for (var member : members) {
                for (var record : member.poll(Duration.ofMillis(50))) {
                    if (record.offset() >= 10) {
                        seen.add(record.partition() + "/" + record.offset());
                    }
                }
            }
            return seen.size() == 60;
        });
        members.remove(1).close();
        settle(members, List.of(6), 6);
        members.remove(0).close();
    }

    private void eager() throws Exception {
        shared("RangeAssignor");
        shared("RoundRobinAssignor");
        shared("StickyAssignor");
    }

    private void cooperative() throws Exception {
        shared("CooperativeStickyAssignor");
        String topic = fixture.create(4);
        String group = unique("cooperative");
        String strategy = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
        Set<Integer> revoked = new TreeSet<>();
        try (var first = fixture.consumer(group, "partition.assignment.strategy", strategy);
                var second = fixture.consumer(group, "partition.assignment.strategy", strategy)) {
            first.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                    partitions.forEach(partition -> revoked.add(partition.partition()));
                }

                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                }
            });
            settle(List.of(first), List.of(4), 4);
            second.subscribe(List.of(topic));
            settle(List.of(first, second), List.of(2, 2), 4);
            equal(revoked, new TreeSet<>(owned(second)), "only what moved was revoked");
        }
    }

    private Map<String, String> memberIds(String group) throws Exception {
        Map<String, String> ids = new TreeMap<>();
        for (var member : fixture.admin.describeConsumerGroups(List.of(group)).all().get().get(group).members()) {
            ids.put(member.groupInstanceId().orElse(""), member.consumerId());
        }
        return ids;
    }

    private void staticMembers() throws Exception {
        String topic = fixture.create(4);
        String group = unique("static");
        var a = fixture.consumer(group, "group.instance.id", "a");
        var b = fixture.consumer(group, "group.instance.id", "b");
        a.subscribe(List.of(topic));
        b.subscribe(List.of(topic));
        settle(List.of(a, b), List.of(2, 2), 4);
        Set<Integer> share = owned(b);
        Map<String, String> before = memberIds(group);
        equal(before.keySet(), Set.of("a", "b"), "instances");
        b.close();
        equal(memberIds(group).keySet(), Set.of("a", "b"), "a static member does not leave");
        var again = fixture.consumer(group, "group.instance.id", "b");
        again.subscribe(List.of(topic));
        until("the old share is back", () -> {
            pollAll(List.of(a, again));
            return owned(again).equals(share);
        });
        equal(memberIds(group).get("a"), before.get("a"), "a is untouched");
        var double_ = fixture.consumer(group, "group.instance.id", "b");
        double_.subscribe(List.of(topic));
        expect(FencedInstanceIdException.class, () -> until("the older member is fenced", () -> {
            pollAll(List.of(a, double_, again));
            return false;
        }));
        again.close();
        double_.close();
        a.close();
        fixture.admin.removeMembersFromConsumerGroup(group,
                new org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions(List.of(
                        new org.apache.kafka.clients.admin.MemberToRemove("a"),
                        new org.apache.kafka.clients.admin.MemberToRemove("b")))).all().get();
        equal(memberIds(group), Map.of(), "removed by an administrator");
    }

    private void commits() throws Exception {
        String topic = fixture.create(1);
        fixture.fill(topic, 50, 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        String group = unique("resume");
        try (var consumer = fixture.consumer(group)) {
            consumer.subscribe(List.of(topic));
            read(consumer, 50);
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(20, "so far")));
        }
        try (var consumer = fixture.consumer(group)) {
            consumer.subscribe(List.of(topic));
            equal(Fixture.number(read(consumer, 1).get(0)), 20, "resumes");
            OffsetAndMetadata committed = consumer.committed(Set.of(partition)).get(partition);
            equal(committed.offset(), 20L, "committed");
            equal(committed.metadata(), "so far", "metadata");
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(50)));
            try (var outsider = fixture.consumer(group)) {
                outsider.assign(List.of(partition));
                expect(CommitFailedException.class,
                        () -> outsider.commitSync(Map.of(partition, new OffsetAndMetadata(1))));
            }
        }
        try (var outsider = fixture.consumer(group)) {
            outsider.assign(List.of(partition));
            outsider.commitSync(Map.of(partition, new OffsetAndMetadata(7)));
            equal(Fixture.number(read(outsider, 1).get(0)), 7, "a position set from outside");
        }
    }

    private void slowMember() throws Exception {
        String topic = fixture.create(2);
        String group = unique("slow");
        try (var slow = fixture.consumer(group, "max.poll.interval.ms", "1500");
                var other = fixture.consumer(group)) {
            slow.subscribe(List.of(topic));
            settle(List.of(slow), List.of(2), 2);
            other.subscribe(List.of(topic));
            settle(List.of(other), List.of(2), 2);
            expect(CommitFailedException.class, () -> slow.commitSync(
                    Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(0))));
            settle(List.of(slow, other), List.of(1, 1), 2);
        }
    }
}
